// Three planes of one scan to leaf through, with outline and maps, from the images inside the page.
// Axes run to the patient's left, back and feet, so that pictures need no flipping.
{
  const AXES = { axial: [2, 0, 1], coronal: [1, 0, 2], sagittal: [0, 1, 2] };
  const COLOURS = { probability: [255, 176, 32], uncertainty: [70, 200, 255] };
  const UNITS = { probability: "1", uncertainty: "1 bit" };
  const [nx, ny] = VIEW.shape;
  const stride = [1, nx, nx * ny];
  const position = [...VIEW.start];
  const root = document.querySelector(".viewer");
  const tool = (name) => root.querySelector(`.tools [name="${name}"]`);
  const sketch = document.createElement("canvas");
  const volumes = {};
  const views = [];

  const greys = () => {
    const level = 255 - tool("level").value, width = 410 - tool("width").value;
    return Uint8ClampedArray.from({ length: 256 }, (_, v) => 255 * ((v - level) / width + 0.5));
  };

  const paint = (view, table) => {
    const { across, column, row, n, m } = view;
    const name = root.querySelector('[name="overlay"]:checked').value;
    const over = volumes[name], colour = COLOURS[name], opacity = tool("opacity").value / 100;
    const picture = new ImageData(n, m);
    const start = position[across] * stride[across];
    for (let r = 0, out = 0; r < m; r++) {
      let at = start + r * stride[row];
      for (let c = 0; c < n; c++, at += stride[column], out += 4) {
        const grey = table[volumes.grey[at]];
        const share = over ? (opacity * over[at]) / 255 : 0;
        for (let k = 0; k < 3; k++) picture.data[out + k] = share ? grey + share * (colour[k] - grey) : grey;
        picture.data[out + 3] = 255;
      }
    }
    sketch.width = n;
    sketch.height = m;
    sketch.getContext("2d").putImageData(picture, 0, 0);
    view.context.drawImage(sketch, 0, 0, view.canvas.width, view.canvas.height);
  };

  const outline = ({ context, canvas, across, column, row, n, m }, ratio, mask, colour) => {
    const start = position[across] * stride[across], wide = canvas.width / n, high = canvas.height / m;
    const tumour = (c, r) => c >= 0 && r >= 0 && c < n && r < m && mask[start + c * stride[column] + r * stride[row]] > 0;
    context.beginPath();
    for (let r = 0; r <= m; r++) {
      for (let c = 0; c <= n; c++) {
        const here = tumour(c, r);
        if (here !== tumour(c - 1, r)) { context.moveTo(c * wide, r * high); context.lineTo(c * wide, (r + 1) * high); }
        if (here !== tumour(c, r - 1)) { context.moveTo(c * wide, r * high); context.lineTo((c + 1) * wide, r * high); }
      }
    }
    context.strokeStyle = colour;
    context.lineWidth = 1.5 * ratio;
    context.lineCap = "square";
    context.stroke();
  };

  const notes = ({ context, canvas, column, row, n, m, plane }, ratio) => {
    const { width, height } = canvas;
    if (tool("cross").checked) {
      const x = ((position[column] + 0.5) * width) / n, y = ((position[row] + 0.5) * height) / m, gap = 12 * ratio;
      context.fillStyle = "rgba(120, 220, 255, 0.6)";
      for (const [a, b] of [[0, x - gap], [x + gap, width]]) context.fillRect(a, y, Math.max(0, b - a), ratio);
      for (const [a, b] of [[0, y - gap], [y + gap, height]]) context.fillRect(x, a, ratio, Math.max(0, b - a));
    }
    const [left, right, top, bottom] = VIEW.letters[plane], edge = 9 * ratio;
    context.font = `600 ${14 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "black";
    context.fillStyle = "#f4f8fb";
    for (const [text, align, x, y] of [[left, "left", edge, height / 2], [right, "right", width - edge, height / 2], [top, "center", width / 2, 1.5 * edge], [bottom, "center", width / 2, height - 1.5 * edge]]) {
      context.textAlign = align;
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    }
  };

  const draw = () => {
    const table = greys(), ratio = window.devicePixelRatio || 1;
    for (const view of views) {
      view.canvas.width = Math.max(1, Math.round(view.canvas.clientWidth * ratio));
      view.canvas.height = Math.max(1, Math.round(view.canvas.clientHeight * ratio));
      paint(view, table);
      if (tool("outline").checked) {
        outline(view, ratio, volumes.mask, "#ff3df0");
        for (const colour of VIEW.regions) outline(view, ratio, volumes[colour], colour);
      }
      notes(view, ratio);
      view.slider.value = position[view.across];
      view.output.textContent = `slice ${VIEW.index[view.across][position[view.across]]}`;
    }
    const name = root.querySelector('[name="overlay"]:checked').value, ramp = root.querySelector(".ramp");
    ramp.hidden = !name;
    ramp.children[1].style.background = `linear-gradient(90deg, black, rgb(${COLOURS[name]}))`;
    ramp.children[2].textContent = UNITS[name];
  };
  let waiting = 0;
  const redraw = () => { waiting ||= requestAnimationFrame(() => { waiting = 0; draw(); }); };
  const go = (axis, to) => { position[axis] = Math.min(VIEW.shape[axis] - 1, Math.max(0, Math.floor(to))); redraw(); };

  const listen = (view) => {
    const { canvas, slider, across, column, row } = view;
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      go(column, ((event.clientX - box.left) / box.width) * view.n);
      go(row, ((event.clientY - box.top) / box.height) * view.m);
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.focus(); canvas.setPointerCapture(event.pointerId); point(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
    // Only a picture that was clicked takes the wheel, so that the page can still be scrolled.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas || !event.deltaY) return;
      event.preventDefault();
      go(across, position[across] + Math.sign(event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, PageDown: 10, ArrowUp: -1, ArrowLeft: -1, PageUp: -10 }[event.key];
      if (!step) return;
      event.preventDefault();
      go(across, position[across] + step);
    });
    slider.addEventListener("input", () => go(across, Number(slider.value)));
  };

  const begin = async () => {
    for (const [name, source] of Object.entries(VIEW.images)) volumes[name] = await decoded(source, VIEW.shape, VIEW.across);
    for (const element of root.querySelectorAll(".view")) {
      const plane = element.dataset.plane, [across, column, row] = AXES[plane];
      const canvas = element.querySelector("canvas"), slider = element.querySelector("input");
      const view = { plane, across, column, row, canvas, slider, n: VIEW.shape[column], m: VIEW.shape[row], output: element.querySelector("output"), context: canvas.getContext("2d") };
      canvas.style.aspectRatio = `${view.n * VIEW.spacing[column]} / ${view.m * VIEW.spacing[row]}`;
      slider.max = VIEW.shape[across] - 1;
      views.push(view);
      listen(view);
    }
    root.querySelector(".tools").addEventListener("input", redraw);
    root.querySelector(".reset").addEventListener("click", () => {
      for (const input of root.querySelectorAll(".tools input")) { input.value = input.defaultValue; input.checked = input.defaultChecked; }
      VIEW.start.forEach((to, axis) => go(axis, to));
    });
    root.hidden = false;
    document.documentElement.classList.add("live");
    new ResizeObserver(redraw).observe(root);
    draw();
  };
  begin().catch(() => { root.hidden = true; document.documentElement.classList.remove("live"); });
}
