// One long computation at a time: its progress, Stop, and a sentence at its end.

window.vitgeomRunning = (root, say) => {
  const show = (name) => root.querySelector(`[data-show="${name}"]`), heavy = () => root.querySelectorAll("[data-heavy]");
  let running = null;

  // work(step, awaited, stops): tells with step(done, of), waits for what loads with awaited, and adds to stops what can
  // stop; says whether it came to its own end
  const long = async (title, work) => {
    if (running) return false;
    const bar = root.querySelector("progress"), busy = show("busy"), ends = {};
    const halted = new Promise((_, failed) => { ends.stop = () => failed(Object.assign(new Error("stopped"), { stopped: true })); });
    halted.catch(() => {});
    const over = new Promise((done) => { ends.over = done; });
    running = { stops: [ends.stop], over };
    bar.removeAttribute("value");
    show("pace").textContent = title;
    busy.hidden = false;
    heavy().forEach((button) => button.setAttribute("aria-disabled", "true"));
    const step = (done, of, text) => { Object.assign(bar, { max: of, value: done }); show("pace").textContent = text ?? `${title}: ${done} of ${of}`; };
    const awaited = (promise) => Promise.race([promise, halted]);  // what loads goes on behind, for who asks again
    try { await work(step, awaited, running.stops); say(`${title}: done.`); return true; }
    catch (error) { say(error.stopped ? `${title}: stopped.` : error.message); return false; }
    finally {
      running = null;
      busy.hidden = true;
      heavy().forEach((button) => button.removeAttribute("aria-disabled"));
      ends.over();
    }
  };
  const halt = () => { running?.stops.forEach((stop) => stop()); return running?.over; };

  // what a slider asks while it is dragged: the newest question alone
  const latest = (act) => {
    let busy = false, next = null;
    return async (...given) => {
      next = given;
      if (busy) return;
      busy = true;
      try { while (next) { const now = next; next = null; await act(...now); } } catch (error) { if (!error.stopped) say(error.message); } finally { busy = false; }
    };
  };
  return { long, halt, latest };
};
