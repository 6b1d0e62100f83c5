"use strict";
// In the page: a reader's picture as 64 x 64 pixels. It never leaves this computer.

window.vitgeomPicture = (() => {
  const SIZE = 64, MOST = 120e6;  // pixels: beyond, a browser may end for want of memory

  // runs in a worker of its own, so that a photograph of 50 megapixels does not hold up the page: the centre square,
  // each of its 64 x 64 fields the mean of the pixels under it
  const shrinker = async ({ data: { blob, size, most } }) => {
    try {
      const picture = await createImageBitmap(blob), { width, height } = picture;
      if (width * height > most) throw new Error("too large");
      const side = Math.min(width, height), left = (width - side) >> 1, top = (height - side) >> 1;
      const sums = new Float64Array(3 * size * size), weight = new Float64Array(size * size);
      const strip = Math.max(1, Math.min(side, Math.floor(4e6 / side))), canvas = new OffscreenCanvas(side, strip);
      const paint = canvas.getContext("2d", { willReadFrequently: true });
      const share = (p) => {  // the fields that pixel p lies in, and how much of it in each
        const a = (p * size) / side, b = ((p + 1) * size) / side, parts = [];
        for (let f = Math.floor(a); f < b && f < size; f++) parts.push([f, Math.min(b, f + 1) - Math.max(a, f)]);
        return parts;
      };
      const columns = Array.from({ length: side }, (_, p) => share(p));
      for (let y = 0; y < side; y += strip) {
        const rows = Math.min(strip, side - y);
        paint.fillStyle = "#fff";
        paint.fillRect(0, 0, side, rows);
        paint.drawImage(picture, left, top + y, side, rows, 0, 0, side, rows);
        const { data: bytes } = paint.getImageData(0, 0, side, rows);
        for (let r = 0; r < rows; r++) for (const [fy, wy] of share(y + r)) for (let p = 0; p < side; p++) {
          const at = 4 * (r * side + p);
          for (const [fx, wx] of columns[p]) {
            const field = fy * size + fx, w = wy * wx;
            weight[field] += w;
            for (let c = 0; c < 3; c++) sums[c * size * size + field] += w * bytes[at + c];
          }
        }
      }
      picture.close();
      // whole grey levels, so that a PNG holds the very numbers
      const pixels = Float32Array.from(sums, (s, i) => Math.round(s / weight[i % (size * size)]) / 255);
      postMessage({ pixels, width, height });
    } catch (error) { postMessage({ error: String(error.message ?? error) }); }
  };

  const shrunk = (blob) => new Promise((done, failed) => {
    const address = URL.createObjectURL(new Blob([`onmessage = ${shrinker}`], { type: "text/javascript" }));
    const worker = new Worker(address);
    const end = () => { worker.terminate(); URL.revokeObjectURL(address); };
    worker.onmessage = ({ data }) => {
      end();
      if (data.pixels) done(data);
      else failed(new Error(data.error === "too large" ? "This picture has more than 120 megapixels; choose a smaller one."
        : "This is no picture that the browser can read; choose a JPEG, PNG or WebP file."));
    };
    worker.onerror = () => { end(); failed(new Error("This browser cannot shrink pictures in the background; a newer one can.")); };
    worker.postMessage({ blob, size: SIZE, most: MOST });
  });

  // three planes of [0, 1] on a canvas of 64 x 64
  const paint = (canvas, pixels) => {
    canvas.width = canvas.height = SIZE;
    const image = new ImageData(SIZE, SIZE), n = SIZE * SIZE;
    for (let i = 0; i < n; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * Math.min(1, Math.max(0, pixels[c * n + i])));
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  };

  const save = (pixels, name) => new Promise((done) => {
    const canvas = document.createElement("canvas");
    paint(canvas, pixels);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      done(blob);
    }, "image/png");
  });

  const fromBase64 = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], { type: "image/png" });

  // the pixels of a picture that is 64 x 64 already, as they are
  const exact = async (blob) => {
    const picture = await createImageBitmap(blob), canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIZE;
    const paint = canvas.getContext("2d", { willReadFrequently: true });
    paint.drawImage(picture, 0, 0);
    const { data } = paint.getImageData(0, 0, SIZE, SIZE), n = SIZE * SIZE;
    return Float32Array.from({ length: 3 * n }, (_, i) => data[4 * (i % n) + Math.floor(i / n)] / 255);
  };

  const camera = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    const video = document.createElement("video");
    Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
    await video.play();
    return {
      video,
      take: () => new Promise((done) => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
        canvas.getContext("2d").drawImage(video, 0, 0);
        canvas.toBlob(done, "image/png");
      }),
      close: () => stream.getTracks().forEach((track) => track.stop()),
    };
  };

  return { SIZE, shrunk, exact, paint, save, fromBase64, camera };
})();
