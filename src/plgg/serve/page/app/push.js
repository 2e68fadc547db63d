/** A case sent to the PACS: a button that asks first, and what became of it. */

import { getCase, pushCase } from "./api.js";
import { panel } from "./controls.js";
import { ask, fill, h, notifyError } from "./dom.js";
import { when } from "./format.js";
import { describe, follow, hasEnded } from "./jobs.js";
import * as preferences from "./preferences.js";

const named = (edit) => (edit ? `mask ${edit}` : "the model's mask");

export class PushPanel {
  /** @param c the case @param {() => boolean} isSaved whether nothing is drawn that is not saved */
  constructor(c, isSaved = () => true) {
    Object.assign(this, { isSaved, stop: () => {} });
    this.button = h("button", { type: "button", "data-action": "push", onclick: () => this.#push() }, "Send to the PACS");
    this.status = h("p.hint", { role: "status", id: "pushed" });
    this.element = panel("PACS", this.button, this.status);
    this.show(c);
  }

  /** @param c the case as it is now */
  show(c) {
    this.case = c;
    this.button.disabled = !c.dicom;
    if (!c.dicom) this.status.textContent = "There is no DICOM object of this mask to send.";
    else if (c.push) this.#follow(c.push);
    else this.status.textContent = `Not sent yet: ${named(this.#newest)}.`;
  }

  get #newest() {
    return this.case.edits.at(-1)?.number ?? 0;
  }

  async #push() {
    const edit = this.#newest;
    const chosen = await ask({
      title: `Send ${named(edit)} to the PACS?`,
      body: h("div", {}, h("p", {}, `The segmentation and the measurements of ${named(edit)} become part of the patient's study, for everyone who opens it there. plgg cannot take them back.`),
        this.isSaved() ? null : h("p", {}, h("strong", {}, "What you drew since is not saved, and is not sent."))),
      choices: [["keep", "Do not send"], ["send", "Send"]],
    });
    if (chosen !== "send") return;
    this.button.disabled = true;
    try {
      const { job } = await pushCase(this.case.id, edit, preferences.get("user"));
      this.#follow(job);
    } catch (error) {
      notifyError(error);
      this.button.disabled = false;
    }
  }

  #follow(job) {
    this.#showJob(job);
    if (hasEnded(job)) return;
    this.stop = follow(job.id, (now) => {
      this.#showJob(now);
      if (hasEnded(now)) getCase(this.case.id).then((c) => this.show(c), notifyError);
    });
  }

  #showJob(job) {
    const what = named(job.edit);
    const upper = what[0].toUpperCase() + what.slice(1);
    this.button.disabled = !hasEnded(job);
    this.status.dataset.state = job.state;
    if (job.state === "done") {
      const newer = job.edit === this.#newest ? "" : ` ${named(this.#newest)} was not sent yet.`;
      fill(this.status, `${upper}: ${job.outcome}, ${when(job.ended)}.${newer}`);
    } else if (hasEnded(job)) fill(this.status, h("strong", {}, `${upper} was not sent. `), job.error ?? "");
    else fill(this.status, `${upper}: ${describe(job).toLowerCase()} …`);
  }

  close() {
    this.stop();
  }
}
