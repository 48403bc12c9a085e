// Files made in the page: a text, or a picture of a canvas with a heading and a legend.

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveText(text: string, name: string, type = 'text/csv'): void {
  saveBlob(new Blob([text], { type: `${type};charset=utf-8` }), name);
}

/** Return a file name of a title: letters, digits and dashes. */
export function fileName(title: string, ending: string): string {
  return `${title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'figure'}.${ending}`;
}

export interface LegendEntry {
  readonly name: string;
  readonly color: string;
  readonly dash: readonly number[];
}

/** Save a canvas as a PNG with its title above and its legend below, on the paper's colour. */
export function savePng(canvas: HTMLCanvasElement, title: string, legend: readonly LegendEntry[], colors: { paper: string; ink: string; font: string }): void {
  const ratio = devicePixelRatio;
  const [pad, row] = [16 * ratio, 22 * ratio];
  const picture = document.createElement('canvas');
  const ctx = picture.getContext('2d');
  if (!ctx) return;
  ctx.font = `${13 * ratio}px ${colors.font}`;
  const rows: { entry: LegendEntry; left: number; line: number }[] = [];
  let [left, line] = [0, 0];
  for (const entry of legend) {
    const width = ctx.measureText(entry.name).width + 52 * ratio;
    if (left > 0 && left + width > canvas.width) {
      left = 0;
      line += 1;
    }
    rows.push({ entry, left, line });
    left += width;
  }
  const head = title ? 30 * ratio : 0;
  picture.width = canvas.width + 2 * pad;
  picture.height = canvas.height + 2 * pad + head + (rows.length ? (line + 1) * row + 8 * ratio : 0);
  ctx.fillStyle = colors.paper;
  ctx.fillRect(0, 0, picture.width, picture.height);
  ctx.fillStyle = colors.ink;
  ctx.textBaseline = 'middle';
  ctx.font = `600 ${15 * ratio}px ${colors.font}`;
  ctx.fillText(title, pad, pad + head / 3);
  ctx.drawImage(canvas, pad, pad + head);
  ctx.font = `${13 * ratio}px ${colors.font}`;
  for (const { entry, left: at, line: number } of rows) {
    const y = pad + head + canvas.height + 14 * ratio + number * row;
    ctx.strokeStyle = entry.color;
    ctx.lineWidth = 2 * ratio;
    ctx.setLineDash(entry.dash.map((part) => part * ratio));
    ctx.beginPath();
    ctx.moveTo(pad + at, y);
    ctx.lineTo(pad + at + 28 * ratio, y);
    ctx.stroke();
    ctx.fillText(entry.name, pad + at + 34 * ratio, y);
  }
  picture.toBlob((blob) => blob && saveBlob(blob, fileName(title, 'png')), 'image/png');
}
