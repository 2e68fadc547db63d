// Head as glass and tumour as a solid, turned by hand: a plain canvas, every pixel drawn here.
if (document.querySelector(".surface")) {
  const root = document.querySelector(".surface"), canvas = root.querySelector("canvas"), context = canvas.getContext("2d");
  let turn = 0.6, nod = 0.3;

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const mesh = (coded) => {
    if (!coded) return null;
    const points = Float32Array.from(new Int16Array(bytes(coded.points)), (tenths) => tenths / 10), quads = new Uint16Array(bytes(coded.faces));
    const normals = new Float32Array(points.length), faces = new Uint16Array((quads.length / 4) * 6);
    for (let f = 0, out = 0; f < quads.length; f += 4) {
      const [a, b, c, d] = quads.subarray(f, f + 4);
      faces.set([a, b, c, a, c, d], out);
      out += 6;
      const u = [0, 1, 2].map((k) => points[3 * c + k] - points[3 * a + k]), v = [0, 1, 2].map((k) => points[3 * d + k] - points[3 * b + k]);
      const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const corner of [a, b, c, d]) for (let k = 0; k < 3; k++) normals[3 * corner + k] += normal[k];
    }
    return { points, normals, faces };
  };
  const head = mesh(SCENE.head), tumour = mesh(SCENE.tumour);

  // From the world (right, front, up) to the screen (right, up, to the eye); at 0 seen from the front.
  const turned = () => {
    const [c, s, k, l] = [Math.cos(turn), Math.sin(turn), Math.cos(nod), Math.sin(nod)];
    return [[-c, s, 0], [-l * s, -l * c, k], [k * s, k * c, l]];
  };
  const projected = ({ points, normals }, [x, y, z], scale, width, height) => {
    const n = points.length / 3, out = new Float32Array(6 * n);
    for (let i = 0; i < n; i++) {
      const p = points.subarray(3 * i, 3 * i + 3), q = normals.subarray(3 * i, 3 * i + 3), size = Math.hypot(...q) || 1;
      const dot = (v, w) => v[0] * w[0] + v[1] * w[1] + v[2] * w[2];
      out.set([width / 2 + scale * dot(x, p), height / 2 - scale * dot(y, p), dot(z, p), dot(x, q) / size, dot(y, q) / size, dot(z, q) / size], 6 * i);
    }
    return out;
  };
  // Calls `touch(pixel, depth, weights and corners)` for every pixel of every triangle.
  const fill = (corners, faces, width, height, touch) => {
    for (let f = 0; f < faces.length; f += 3) {
      const a = 6 * faces[f], b = 6 * faces[f + 1], c = 6 * faces[f + 2];
      const ax = corners[a], ay = corners[a + 1], bx = corners[b], by = corners[b + 1], cx = corners[c], cy = corners[c + 1];
      const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
      if (Math.abs(area) < 1e-6) continue;
      const top = Math.max(0, Math.ceil(Math.min(ay, by, cy))), bottom = Math.min(height - 1, Math.floor(Math.max(ay, by, cy)));
      const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx))), right = Math.min(width - 1, Math.floor(Math.max(ax, bx, cx)));
      for (let y = top; y <= bottom; y++) {
        for (let x = left; x <= right; x++) {
          const v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area, w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area, u = 1 - v - w;
          if (u < 0 || v < 0 || w < 0) continue;
          const mix = (k) => u * corners[a + k] + v * corners[b + k] + w * corners[c + k];
          touch(y * width + x, mix);
        }
      }
    }
  };

  const draw = () => {
    const ratio = Math.min(window.devicePixelRatio || 1, 1.5);
    const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio))), height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio)));
    const axes = turned(), scale = (0.52 * Math.min(width, height)) / SCENE.radius;
    const depth = new Float32Array(width * height).fill(-1e9), light = new Float32Array(width * height), clear = new Float32Array(width * height).fill(1);
    if (tumour) fill(projected(tumour, axes, scale, width, height), tumour.faces, width, height, (at, mix) => {
      const z = mix(2);
      if (z <= depth[at]) return;
      depth[at] = z;
      light[at] = 0.34 + 0.66 * Math.max(0, -0.35 * mix(3) + 0.45 * mix(4) + 0.82 * mix(5));
    });
    if (head) fill(projected(head, axes, scale, width, height), head.faces, width, height, (at, mix) => {
      if (mix(2) <= depth[at]) return;
      const rim = 1 - Math.min(1, Math.abs(mix(5)));
      clear[at] *= 1 - (0.07 + 0.42 * rim * rim);
    });
    const picture = context.createImageData(width, height), data = picture.data;
    for (let at = 0, out = 0; at < light.length; at++, out += 4) {
      const through = clear[at], glass = 1 - through, solid = light[at] > 0;
      data[out] = through * (solid ? 255 * light[at] : 16) + glass * 190;
      data[out + 1] = through * (solid ? 70 * light[at] : 22) + glass * 212;
      data[out + 2] = through * (solid ? 236 * light[at] : 28) + glass * 230;
      data[out + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
    context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    ["RL", "AP", "SI"].forEach((pair, axis) => [...pair].forEach((letter, end) => {
      const reach = (end ? -0.92 : 0.92) * SCENE.radius * scale;
      context.fillStyle = `rgba(244, 248, 251, ${0.65 + (end ? -0.35 : 0.35) * axes[2][axis]})`;
      if (Math.abs(axes[2][axis]) < 0.9) context.fillText(letter, width / 2 + reach * axes[0][axis], height / 2 - reach * axes[1][axis]);
    }));
  };
  let waiting = 0;
  const redraw = () => { waiting ||= requestAnimationFrame(() => { waiting = 0; draw(); }); };
  const spin = (across, down) => { turn += across; nod = Math.min(1.571, Math.max(-1.571, nod + down)); redraw(); };

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) spin(-event.movementX / 120, event.movementY / 120); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (!step) return;
    event.preventDefault();
    spin(...step);
  });
  for (const button of root.querySelectorAll("button")) {
    button.addEventListener("click", () => { turn = (button.dataset.turn * Math.PI) / 180; nod = (button.dataset.nod * Math.PI) / 180; redraw(); });
  }
  root.hidden = false;
  new ResizeObserver(redraw).observe(canvas);
}
