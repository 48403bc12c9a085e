// Numbers as colours: signed differences around grey, a map of attention over a picture, colours for a brush.

/** Return signed numbers as colours: grey is 0, black -1 and less, white 1 and more; doubled, so that little is seen too. */
export function shownDifference(values: Float32Array, gain = 2): Uint8Array {
  return Uint8Array.from(values, (value) => Math.round(Math.min(255, Math.max(0, 127.5 + gain * 127.5 * value))));
}

/** Return a picture that is dark where a map is lowest and bright where it is highest; the map (of another edge) is scaled by repeating its numbers. */
export function lit(pixels: Uint8Array, size: number, channels: number, map: Float32Array, edge: number): Uint8Array {
  const [low, high] = map.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
  const found = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const value = map[Math.floor((y * edge) / size) * edge + Math.floor((x * edge) / size)] ?? 0;
      const share = high > low ? (value - low) / (high - low) : 0;
      const i = y * size + x;
      for (let c = 0; c < 3; c += 1) {
        const color = pixels[i * channels + (channels === 1 ? 0 : c)] ?? 0;
        const glow = HOT[c] ?? 0;
        // from a dark, grey picture where the word is not read, to the picture's own colours with a warm glow
        found[3 * i + c] = Math.round((0.18 + 0.52 * share) * color + 0.3 * share * glow);
      }
    }
  }
  return found;
}

const HOT = [255, 170, 60];

/** Return a picture as bytes for a canvas' ImageData, or a file. */
export function rgba(pixels: Uint8Array, size: number, channels: number): Uint8ClampedArray<ArrayBuffer> {
  const found = new Uint8ClampedArray(size * size * 4);
  for (let i = 0; i < size * size; i += 1) {
    for (let c = 0; c < 3; c += 1) found[4 * i + c] = pixels[i * channels + (channels === 1 ? 0 : c)] ?? 0;
    found[4 * i + 3] = 255;
  }
  return found;
}

/** Read a picture file as pixels of this size: its middle square, scaled. */
export async function readFile(file: Blob, size: number, channels: number): Promise<Uint8Array> {
  const image = await createImageBitmap(file);
  const edge = Math.min(image.width, image.height);
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser cannot read pictures here');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, (image.width - edge) / 2, (image.height - edge) / 2, edge, edge, 0, 0, size, size);
  return fromRgba(context.getImageData(0, 0, size, size).data, size, channels);
}

export function fromRgba(data: Uint8ClampedArray, size: number, channels: number): Uint8Array {
  const found = new Uint8Array(size * size * channels);
  for (let i = 0; i < size * size; i += 1) {
    const [r = 0, g = 0, b = 0] = data.subarray(4 * i, 4 * i + 3);
    if (channels === 1) found[i] = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
    else found.set([r, g, b], 3 * i);
  }
  return found;
}
