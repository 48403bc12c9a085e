// The board of the brush: a picture of the model's size that one draws on, and marks on it of what is to be painted anew.
// It is not in the address (a drawing does not fit there), but stays while the page is open.

import type { Painter } from './state';

let pixels = $state.raw<Uint8Array>();
let marks = $state.raw<Uint8Array>(new Uint8Array());
let size = $state(0);
let channels = $state(3);
let from = $state('');
let drawings = 0;

export const board = {
  get pixels(): Uint8Array | undefined {
    return pixels;
  },
  /** 1 where the picture is to be painted anew. */
  get marks(): Uint8Array {
    return marks;
  },
  get from(): string {
    return from;
  },
  get isMarked(): boolean {
    return marks.includes(1);
  },
  /** Where the picture stays, as the lab is told. */
  keep(): Uint8Array {
    return marks.map((one) => 1 - one);
  },
  take(picture: Uint8Array, whence: string): void {
    pixels = picture.slice();
    marks = new Uint8Array(picture.length / channels);
    from = whence;
  },
  /** Begin with a painted picture where the board is empty, or of another model's size. */
  begin(picture: Uint8Array, whence: string, model: Painter): void {
    if (pixels && size === model.size && channels === model.channels) return;
    size = model.size ?? 0;
    channels = model.channels ?? 3;
    this.take(picture, whence);
  },
  clearMarks(): void {
    marks = new Uint8Array(marks.length);
  },
  /** A number of one of our drawings, another each time. */
  nextDrawing(): number {
    drawings += 1;
    return drawings;
  },
  /** Paint a round spot: a colour on the picture, or (null) a mark; `isOff` takes marks away. */
  dab(x: number, y: number, radius: number, color: readonly number[] | null, isOff: boolean): void {
    if (!pixels) return;
    const nextPixels = color ? pixels.slice() : pixels;
    const nextMarks = color ? marks : marks.slice();
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(size - 1, y + radius); row += 1) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(size - 1, x + radius); column += 1) {
        if ((row - y) ** 2 + (column - x) ** 2 > radius ** 2) continue;
        const i = row * size + column;
        if (!color) nextMarks[i] = isOff ? 0 : 1;
        else if (channels === 1) nextPixels[i] = Math.round(0.299 * (color[0] ?? 0) + 0.587 * (color[1] ?? 0) + 0.114 * (color[2] ?? 0));
        else nextPixels.set(color, 3 * i);
      }
    }
    pixels = nextPixels;
    marks = nextMarks;
  },
};
