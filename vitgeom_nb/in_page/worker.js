// The worker's door: one task after the other; Stop is heard while one runs.

const networks = {}, stopped = new Set();
let line = Promise.resolve();

const perform = async ({ id, task, network, parts, given }) => {
  const pace = async (progress) => {
    if (progress) postMessage({ id, progress });
    await breath();
    if (stopped.has(id)) throw new Stopped("stopped");
  };
  await pace(null);
  if (task === "runtime") return startRuntime(parts);
  if (task === "network") {
    networks[network] = new Network(network, parts);
    await networks[network].session("forward");
    return { precision: parts.precision };
  }
  if (task === "release") {
    for (const session of Object.values(networks[network]?.sessions ?? {})) await session.release();
    delete networks[network];
    return null;
  }
  return METHODS[task](networks[network], given, pace);
};

onmessage = ({ data }) => {
  if (data.stop) { stopped.add(data.stop); return; }
  line = line.then(() => perform(data)).then(
    (result) => postMessage({ id: data.id, result }),
    (error) => postMessage({ id: data.id, error: String(error?.message ?? error), stopped: error instanceof Stopped }),
  );
};
