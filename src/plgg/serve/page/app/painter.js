/**
 * Pointer to drawing: mouse, pen and finger draw in the slices with the chosen tool; everything else
 * (crosshair, window and level, wheel, pinch, turning in three dimensions) is left to the viewer.
 */

import { NORMAL } from "./brush.js";
import { $ } from "./dom.js";

export class Painter {
  /**
   * @param {HTMLElement} stage holds the canvas and the brush's ring
   * @param {() => object} settings tool: "look", "pen", "eraser" or "grow"; radius in mm; ball; and for
   *   grow: tolerance, reach in mm, flat
   */
  constructor(stage, viewer, drawing, settings) {
    Object.assign(this, { stage, viewer, drawing, settings, stroke: null, fingers: new Set() });
    this.canvas = $("canvas", stage);
    this.ring = $(".ring", stage);
    this.plane = "axial";
    const on = (type, listener) => stage.addEventListener(type, listener, { capture: true });
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", (event) => this.#up(event));
    on("pointerleave", () => { this.ring.hidden = true; });
    // NiiVue listens to these, and would move the crosshair under the brush.
    for (const type of ["mousedown", "mousemove", "mouseup", "touchstart", "touchmove", "touchend"]) {
      on(type, (event) => this.#withhold(event));
    }
  }

  /** Stamp the brush, or grow, at the crosshair: drawing without a pointer. */
  stamp() {
    const { tool, radius, ball } = this.settings();
    const voxel = this.viewer.crosshair;
    if (tool === "grow") return this.#grow(voxel, this.plane);
    if (tool === "look") return null;
    const value = tool === "pen" ? 1 : 0;
    this.drawing.paint({ from: voxel, to: voxel, plane: this.plane, radius, value, ball });
    return this.drawing.commit(tool, this.#details(voxel, this.plane));
  }

  #under(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.viewer.under(event.clientX - box.left, event.clientY - box.top);
  }

  #down(event) {
    if (event.pointerType === "touch") this.fingers.add(event.pointerId);
    if (this.fingers.size > 1) return this.#giveUp();
    const { tool } = this.settings();
    const place = this.#under(event);
    if (place) this.plane = place.plane;
    if (tool === "look" || event.button !== 0 || !place) return null;
    if (tool === "grow") return this.#grow(place.voxel, place.plane);
    const erases = tool === "eraser" || event.altKey;
    this.stroke = { pointer: event.pointerId, last: place.voxel, plane: place.plane, value: erases ? 0 : 1, label: erases ? "eraser" : "pen" };
    this.stage.setPointerCapture(event.pointerId);
    return this.#paintTo(place.voxel);
  }

  #move(event) {
    const place = this.#under(event);
    this.#showRing(event, place);
    const { stroke } = this;
    if (stroke?.pointer === event.pointerId && place?.plane === stroke.plane) this.#paintTo(place.voxel);
  }

  #up(event) {
    this.fingers.delete(event.pointerId);
    const { stroke } = this;
    if (stroke?.pointer !== event.pointerId) return;
    this.stroke = null;
    this.drawing.commit(stroke.label, this.#details(stroke.last, stroke.plane));
    // The viewer's mouse-up follows this event and is still withheld.
    this.ended = performance.now();
  }

  #paintTo(voxel) {
    const { radius, ball } = this.settings();
    const { last, plane, value } = this.stroke;
    this.drawing.paint({ from: last, to: voxel, plane, radius, value, ball });
    this.stroke.last = voxel;
  }

  #details(voxel, plane) {
    return this.settings().ball ? {} : { plane, slices: [voxel[NORMAL[plane]]] };
  }

  #grow(seed, plane) {
    const { tolerance, reach, flat } = this.settings();
    return this.drawing.grow({ seed, tolerance, radius: reach, plane: flat ? plane : null });
  }

  /** A second finger means to pinch: what the first has drawn is taken back. */
  #giveUp() {
    if (this.stroke) this.drawing.revert();
    this.stroke = null;
  }

  #withhold(event) {
    const isTouch = event.type.startsWith("touch");
    if (isTouch && (event.touches.length > 1 || this.fingers.size > 1)) return;
    const { tool } = this.settings();
    const drawing = this.stroke !== null || performance.now() - (this.ended ?? -1000) < 30;
    const point = isTouch ? event.changedTouches[0] : event;
    const begins = tool !== "look" && (isTouch || event.button === 0) && this.#under(point) !== null
      && (event.type === "mousedown" || event.type === "touchstart");
    if (!drawing && !begins) return;
    event.stopPropagation();
    if (event.cancelable) event.preventDefault();
    this.canvas.focus({ preventScroll: true });
  }

  #showRing(event, place) {
    const { tool, radius } = this.settings();
    this.ring.hidden = !place || !["pen", "eraser"].includes(tool) || event.pointerType === "touch";
    if (this.ring.hidden) return;
    const box = this.stage.getBoundingClientRect();
    const size = Math.max(3, 2 * radius * place.pixelsPerMm);
    this.ring.style.setProperty("width", `${size}px`);
    this.ring.style.setProperty("height", `${size}px`);
    this.ring.style.setProperty("transform",
      `translate(${event.clientX - box.left - size / 2}px, ${event.clientY - box.top - size / 2}px)`);
  }
}
