/** Rounds of learning: started, followed, stopped, and whether what was learnt has been accepted. */

import * as api from "./api.js";
import { fill, h, notify, notifyError } from "./dom.js";
import { score, signed, when } from "./format.js";
import { describe, follow, hasEnded, share } from "./jobs.js";

// As `plgg.experiment.corrections` has it; the server judges, by patients.
const FEWEST = 4;

export async function openRounds(main, { refresh }) {
  const view = new Rounds(main, refresh);
  await view.load();
  return { close: () => view.close() };
}

class Rounds {
  constructor(main, refresh) {
    Object.assign(this, { refresh, stops: [], jobs: new Map() });
    this.start = h("button.primary", { type: "button", "data-action": "round", onclick: () => this.begin() }, "Start a round");
    this.about = h("p.muted", { role: "status" });
    this.list = h("div.rounds");
    fill(main, h("div.list", {},
      h("div.bar", {}, h("h1", {}, "Learning from corrections"), this.start),
      h("p.lead", {}, "A round trains the model further on the corrected cases. It is accepted only if it is not worse on patients that no round has trained on; otherwise the model stays as it is."),
      this.about, this.list));
  }

  close() {
    this.closed = true;
    this.stops.forEach((stop) => stop());
  }

  async load() {
    const [rounds, cases, jobs] = await Promise.all([api.listRounds(), api.listCases(), api.listJobs()]);
    this.rounds = rounds;
    const corrected = cases.filter((c) => c.edited).length;
    const found = corrected === 1 ? "1 case has been corrected" : `${corrected} cases have been corrected`;
    this.about.textContent = corrected < FEWEST ? `${found}; a round needs ${FEWEST} patients: two to learn from and two that are held out.` : `${found}.`;
    for (const job of jobs) if (job.kind === "round") this.jobs.set(job.id, job);
    const open = [...this.jobs.values()].filter((job) => !hasEnded(job));
    this.start.disabled = open.length > 0 || corrected < FEWEST;
    open.forEach((job) => this.#follow(job.id));
    this.draw();
  }

  draw() {
    const newest = [...this.rounds].sort((a, b) => b.number - a.number);
    fill(this.list, newest.map((round) => this.#card(round)));
    if (!newest.length) fill(this.list, h("p.empty", {}, "No round yet."));
  }

  async begin() {
    this.start.disabled = true;
    try {
      const { round } = await api.startRound();
      notify(`Round ${round} is in the queue.`);
      await this.load();
      await this.refresh();
    } catch (error) {
      this.start.disabled = false;
      notifyError(error);
    }
  }

  #follow(id) {
    this.stops.push(follow(id, (job) => {
      this.jobs.set(id, job);
      if (this.closed) return;
      if (!hasEnded(job)) return this.draw();
      this.load().catch(notifyError);
      this.refresh().catch(notifyError);
    }));
  }

  #card(round) {
    const job = this.jobs.get(round.job);
    const open = job && !hasEnded(job);
    return h("article.card", { "data-round": round.number, "data-state": open ? job.state : round.state, "aria-label": `Round ${round.number}` },
      h("div.title", {}, h("h2", {}, `Round ${round.number}`), outcome(round, open), h("span.time", {}, when(round.created ?? job?.created))),
      open ? progress(job) : null,
      job?.error ? h("p.why", {}, job.error) : null,
      round.comparison ? comparison(round.comparison) : null);
  }
}

function outcome(round, open) {
  if (open) return h("span.tag.running", {}, "in progress");
  if (round.accepted === true) return h("span.tag.good", {}, "accepted");
  if (round.accepted === false) return h("span.tag.doubtful", {}, "not accepted: the old model stays");
  return h("span.tag.failed", {}, round.state);
}

function progress(job) {
  const cancel = h("button.quiet", { type: "button", onclick: () => api.cancelJob(job.id).catch(notifyError) }, "Cancel");
  return h("div.job", {}, h("span", {}, describe(job)),
    h("progress", { max: 1, ...(share(job) !== null && { value: share(job) }), "aria-label": describe(job) }), cancel);
}

function comparison(c) {
  const row = (...cells) => h("tr", {}, cells.map((cell, n) => (n ? h("td.number", {}, cell) : h("th", { scope: "row" }, cell))));
  const head = h("tr", {}, ["Dice", "Before", "After", "Difference"].map((text, n) => h(n ? "th.number" : "th", { scope: "col" }, text)));
  const error = c.standard_error === null ? "" : ` ± ${c.standard_error.toFixed(3)}`;
  const patients = c.patients.map((p) => row(p.patient_id, score(p.dice_before), score(p.dice_after), signed(p.difference)));
  const rehearsed = c.n_rehearsed ? `, and ${c.n_rehearsed} of the earlier training again` : "";
  const left = Object.entries(c.left_out ?? {}).map(([name, why]) => h("li", {}, `${name}: ${why}`));
  return [
    h("p", {}, c.reason),
    h("p.muted", {}, `Learnt from ${c.n_training} corrected patients${rehearsed}; compared on ${c.n_validation} that no round learns from.`),
    h("table.comparison", {}, h("caption.hidden", {}, "Dice before and after"), h("thead", {}, head),
      h("tbody", {}, row(`Mean of ${c.n_validation}`, score(c.dice_before), score(c.dice_after), `${signed(c.difference)}${error}`), patients)),
    left.length ? [h("p.muted", {}, "Not used:"), h("ul.doubts", {}, left)] : null,
  ];
}
