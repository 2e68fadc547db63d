/** Jobs followed by server-sent events, and by asking now and then where those do not come through. */

import { getJob, url } from "./api.js";

const ENDED = new Set(["done", "failed", "cancelled"]);
const followed = new Map();

export const hasEnded = (job) => ENDED.has(job.state);

/**
 * Call back with each state of a job, the last one included. A job is followed once, however often
 * it is asked for; the latest listener is the one that is called.
 * @returns {() => void} stops following
 */
export function follow(id, onJob) {
  const known = followed.get(id);
  if (known) {
    known.onJob = onJob;
    return known.stop;
  }
  const source = new EventSource(url(`/jobs/${encodeURIComponent(id)}/events`));
  const entry = { onJob, stop: () => { source.close(); clearInterval(entry.timer); followed.delete(id); } };
  const take = (job) => {
    if (!followed.has(id)) return;
    if (hasEnded(job)) entry.stop();
    entry.onJob(job);
  };
  source.addEventListener("job", (event) => take(JSON.parse(event.data)));
  source.onerror = () => {
    source.close();
    entry.timer ??= setInterval(() => getJob(id).then(take, () => {}), 2000);
  };
  followed.set(id, entry);
  return entry.stop;
}

/** In words what a job is doing. */
export function describe(job) {
  if (job.state !== "running") return { queued: "Waiting", done: "Done", failed: "Failed", cancelled: "Cancelled" }[job.state];
  return job.progress?.label || "Working";
}

/** How far it is, from 0 to 1, or null. */
export function share(job) {
  const { done, total } = job.progress ?? {};
  return total > 0 ? Math.min(1, done / total) : null;
}
