// The page's side of the worker: questions and their answers, networks that it has, and what ends it.

window.vitgeomAsking = (source, partsOf, ended) => {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" })), worker = new Worker(address);
  const open = new Map(), networks = new Map();
  let count = 0;

  // an answer can be stopped, and tells of its progress
  const ask = (task, network, given = {}, told = null, parts = undefined) => {
    const id = ++count;
    const answer = new Promise((done, failed) => open.set(id, { done, failed, told }));
    worker.postMessage({ id, task, network, given, parts });
    answer.stop = () => worker.postMessage({ stop: id });
    return answer;
  };
  worker.onmessage = ({ data }) => {
    const one = open.get(data.id);
    if (!one) return;
    if (data.progress) { one.told?.(data.progress); return; }
    open.delete(data.id);
    if (data.error === undefined) one.done(data.result);
    else one.failed(Object.assign(new Error(data.error), { stopped: data.stopped }));
  };
  const fail = (error) => { for (const one of open.values()) one.failed(error); open.clear(); };
  worker.onerror = (event) => { event.preventDefault(); fail(new Error(ended)); };

  // loads a network once; who asks meanwhile waits for the same
  const need = (name) => {
    if (!networks.has(name)) {
      const loaded = partsOf(name).then((parts) => ask("network", name, {}, null, parts));
      networks.set(name, loaded);
      loaded.catch(() => networks.delete(name));
    }
    return networks.get(name);
  };
  const keep = (name) => {
    for (const other of [...networks.keys()]) if (other !== name) { networks.delete(other); ask("release", other).catch(() => {}); }
  };
  const end = () => {
    worker.terminate();
    URL.revokeObjectURL(address);
    networks.clear();
    fail(Object.assign(new Error("stopped"), { stopped: true }));
  };
  return { ask, need, keep, end };
};
