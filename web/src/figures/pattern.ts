// An attention pattern as a picture of one pixel a weight; the page scales it up without blurring.

import { missing, scalePlace, scaleTable } from '../lib/colors';

export { brief, visible } from './tokens';

/**
 * Draw weights (rows: who reads, columns: what is read) from 0 (the paper) to 1 (the scale's end). Colour grows with the square
 * root, so that small weights, of which there are most, are told apart too.
 */
export function drawPattern(canvas: HTMLCanvasElement, weights: ArrayLike<number>, size: number): void {
  canvas.width = canvas.height = size;
  const ctx = canvas.getContext('2d');
  if (!ctx || !size) return;
  const image = ctx.createImageData(size, size);
  const table = scaleTable();
  const gray = /\w\w/g;
  const absent = (missing().match(gray) ?? []).map((part) => parseInt(part, 16));
  for (let i = 0; i < size * size; i += 1) {
    const [row, column] = [Math.floor(i / size), i % size];
    const weight = weights[i] as number;
    const isFuture = column > row && !(weight > 0);
    const place = scalePlace(Math.sqrt(weight)) * 3;
    for (let c = 0; c < 3; c += 1) image.data[i * 4 + c] = Number.isFinite(weight) ? (table[place + c] ?? 0) : (absent[c] ?? 128);
    image.data[i * 4 + 3] = isFuture ? 0 : 255;
  }
  ctx.putImageData(image, 0, 0);
}
