/** Slices as the server draws them, to look at only: for browsers that cannot show three dimensions. */

import { fill, h } from "./dom.js";
import { ml, when } from "./format.js";
import { slider } from "./controls.js";
import { PushPanel } from "./push.js";
import { nextControls } from "./worklist.js";

const PLANES = ["axial", "coronal", "sagittal"];

/** @param c the case @param {string} reason why nothing can be drawn @param {boolean} mayPush to a PACS */
export function openSlices(main, c, reason, mayPush = false) {
  const push = mayPush ? new PushPanel(c) : null;
  let mask = 1;
  const planes = PLANES.map((plane) => slicePlane(c, plane, () => mask));
  const toggle = h("button", { type: "button", "aria-pressed": "true", onclick: () => {
    mask = 1 - mask;
    toggle.setAttribute("aria-pressed", String(mask === 1));
    planes.forEach((one) => one.draw());
  } }, "Outline");
  fill(main, h("div.slices", {},
    h("div.bar", {}, h("a.back", { href: "#/cases", "aria-label": "Back to the work list" }, "←"), h("h1", {}, c.id), toggle, nextControls()),
    h("p.reason", { role: "alert" }, reason),
    h("p", {}, `Volume ${ml(c.volume_ml)}, corrected ${c.n_edits ? `${c.n_edits} times, last ${when(c.edits.at(-1)?.when)}` : "never"}. `,
      h("a", { href: `/api/v1/cases/${encodeURIComponent(c.id)}/report.html`, target: "_blank", rel: "noopener" }, "The case's report")),
    h("div.planes", {}, planes.map((one) => one.element)), push?.element));
  return { close: () => push?.close() };
}

function slicePlane(c, plane, mask) {
  const count = c.slices[plane];
  let index = Math.floor(count / 2);
  const image = h("img", { alt: "" });
  const draw = () => {
    image.src = `/api/v1/cases/${encodeURIComponent(c.id)}/slice.png?plane=${plane}&index=${index}&mask=${mask()}&v=${encodeURIComponent(c.etag ?? "")}`;
    image.alt = `${plane} slice ${index + 1} of ${count}`;
  };
  const move = slider(`${plane} slice`, { min: 0, max: count - 1, step: 1, value: index, show: (n) => `${n + 1} of ${count}`, onInput: (n) => { index = n; draw(); } });
  image.addEventListener("wheel", (event) => {
    event.preventDefault();
    index = Math.min(count - 1, Math.max(0, index - Math.sign(event.deltaY)));
    move.set(index);
    draw();
  });
  draw();
  return { draw, element: h("figure", {}, image, h("figcaption", {}, move)) };
}
