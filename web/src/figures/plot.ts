// The canvas of a line chart: uPlot lays out the axes and the scales, the lines are drawn here, from the few points of each
// that decimate.ts keeps. Loaded when the first chart is shown.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { decimate } from './decimate';
import { ticks, tickText, withAir, type Range } from './lines';

export interface Drawn {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly color: string;
  readonly dash: readonly number[];
  readonly width: number;
  readonly opacity: number;
  readonly points: boolean;
  /** What stands at the line's end, if anything. */
  readonly label: string;
}

export interface Look {
  readonly paper: string;
  readonly soft: string;
  readonly grid: string;
  readonly font: string;
}

export interface Axes {
  readonly logX: boolean;
  readonly logY: boolean;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly plain: boolean;
  readonly labelSpace: number;
}

/** Where the lines are drawn, in CSS pixels within the chart. */
export interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

interface Prepared extends Drawn {
  readonly indices: Int32Array;
}

export class Plot {
  private readonly chart: uPlot;
  private prepared: Prepared[] = [];
  x: Range = [0, 1];
  y: Range = [0, 1];

  constructor(
    node: HTMLElement,
    width: number,
    height: number,
    private readonly axes: Axes,
    private readonly look: Look,
  ) {
    const font = `12px ${look.font}`;
    const isNarrow = width < 480;
    const axis = (isX: boolean): uPlot.Axis => ({
      stroke: look.soft,
      font,
      labelGap: 0,
      gap: 6,
      grid: { show: !isX, stroke: look.grid, width: 1 },
      ticks: { show: isX, stroke: look.grid, width: 1, size: 4 },
      border: { show: isX, stroke: look.grid, width: 1 },
      size: isX ? 28 : (_, values) => 14 + 7.3 * Math.max(2, ...(values ?? []).map((text) => text?.length ?? 0)),
      splits: () => (isX ? ticks(this.x, axes.logX, isNarrow ? 4 : 8) : ticks(this.y, axes.logY, Math.max(2, Math.round(height / 55)))),
      values: (_, places) => places.map(tickText),
      filter: (_, places) => places,
    });
    const start = axes.logX ? [1, 2] : [0, 1];
    this.chart = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { show: false },
        padding: [axes.plain || !axes.yLabel ? 8 : 28, Math.max(14, axes.labelSpace), axes.xLabel ? 18 : 0, 0],
        scales: { x: { time: false, auto: false, distr: axes.logX ? 3 : 1 }, y: { auto: false, distr: axes.logY ? 3 : 1 } },
        axes: [axis(true), axis(false)],
        series: [{}, { scale: 'y', paths: () => null, points: { show: false } }],
        hooks: { draw: [() => this.paint()] },
      },
      [start, [null, null]] as uPlot.AlignedData,
      node,
    );
  }

  get area(): Area {
    const { left, top, width, height } = this.chart.bbox;
    const ratio = devicePixelRatio;
    return { left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio };
  }

  get canvas(): HTMLCanvasElement {
    return this.chart.ctx.canvas;
  }

  /** Draw lines over a range of x; y follows what is there. */
  draw(lines: readonly Drawn[], range: Range, fromZero: boolean): void {
    const columns = Math.max(1, Math.round(this.chart.bbox.width || this.chart.width * devicePixelRatio)); // those of the pixels
    const edges = new Float64Array(columns + 1);
    const ratio = range[1] / range[0];
    for (let k = 0; k <= columns; k += 1) edges[k] = this.axes.logX ? range[0] * ratio ** (k / columns) : range[0] + ((range[1] - range[0]) * k) / columns;
    edges[columns] = range[1];
    this.prepared = lines.map((line) => ({ ...line, indices: decimate(line.x, line.y, edges) }));
    let low = Infinity;
    let high = -Infinity;
    for (const isLoose of [false, true]) {
      if (low <= high) break; // nothing measured in the range itself: the neighbours the line comes from
      for (const { x, y, indices } of this.prepared) {
        for (const i of indices) {
          const [at, value] = [x[i] as number, y[i] as number];
          if (!Number.isFinite(value) || (this.axes.logY && value <= 0)) continue;
          if (!isLoose && (at < range[0] || at > range[1])) continue;
          if (value < low) low = value;
          if (value > high) high = value;
        }
      }
    }
    this.x = range;
    this.y = withAir([low, high], this.axes.logY);
    if (fromZero && !this.axes.logY && low <= high) this.y = [Math.min(0, this.y[0]), Math.max(0, this.y[1])];
    if (fromZero && !this.axes.logY && low >= 0 && low <= high) this.y = [0, this.y[1]];
    this.chart.batch(() => {
      this.chart.setScale('x', { min: this.x[0], max: this.x[1] });
      this.chart.setScale('y', { min: this.y[0], max: this.y[1] });
      this.chart.redraw(false, true);
    });
  }

  resize(width: number, height: number): void {
    this.chart.setSize({ width, height });
  }

  destroy(): void {
    this.chart.destroy();
  }

  /** Where a value of x lies, in CSS pixels from the left of the area. */
  left(value: number): number {
    return this.share(value, this.x, this.axes.logX) * this.area.width;
  }

  /** Where a value of y lies, in CSS pixels from the top of the area. */
  top(value: number): number {
    return (1 - this.share(value, this.y, this.axes.logY)) * this.area.height;
  }

  /** The value of x at a place, in CSS pixels from the left of the area. */
  at(left: number): number {
    const share = Math.min(1, Math.max(0, left / this.area.width));
    const [low, high] = this.x;
    return this.axes.logX ? low * (high / low) ** share : low + (high - low) * share;
  }

  private share(value: number, [low, high]: Range, isLog: boolean): number {
    return isLog ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  }

  private paint(): void {
    const { ctx, bbox } = this.chart;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${12 * ratio}px ${this.look.font}`;
    ctx.fillStyle = this.look.soft;
    ctx.textBaseline = 'alphabetic';
    if (this.axes.yLabel && !this.axes.plain) {
      ctx.textAlign = 'left';
      ctx.fillText(this.axes.yLabel, 4 * ratio, 14 * ratio);
    }
    if (this.axes.xLabel) {
      ctx.textAlign = 'right';
      ctx.fillText(this.axes.xLabel, bbox.left + bbox.width, ctx.canvas.height - 5 * ratio);
    }
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - 2 * ratio, bbox.top - 2 * ratio, bbox.width + 4 * ratio, bbox.height + 4 * ratio);
    ctx.clip();
    for (const line of this.prepared) this.stroke(ctx, line, ratio);
    ctx.restore();
    this.nameEnds(ctx, ratio);
    ctx.restore();
  }

  private stroke(ctx: CanvasRenderingContext2D, { x, y, indices, color, dash, width, opacity, points }: Prepared, ratio: number): void {
    const { left, top, width: across, height: down } = this.chart.bbox;
    ctx.strokeStyle = ctx.fillStyle = color;
    ctx.globalAlpha = opacity;
    if (indices.length > 2 * across) {
      this.bars(ctx, { x, y, indices, dash, width }, ratio);
      ctx.globalAlpha = 1;
      return;
    }
    ctx.lineWidth = width * ratio;
    ctx.lineJoin = indices.length > across / ratio ? 'bevel' : 'round'; // round joins of a dense line cost most of its drawing
    ctx.setLineDash(dash.map((part) => part * ratio));
    ctx.beginPath();
    const dots: [number, number][] = [];
    let isOn = false;
    for (const i of indices) {
      const value = y[i] as number;
      const px = left + this.share(x[i] as number, this.x, this.axes.logX) * across;
      const py = top + (1 - this.share(value, this.y, this.axes.logY)) * down;
      if (!Number.isFinite(px) || !Number.isFinite(py)) {
        isOn = false;
        continue;
      }
      if (isOn) ctx.lineTo(px, py);
      else {
        ctx.moveTo(px, py);
        ctx.lineTo(px + 0.01, py); // a lone point is seen too
      }
      isOn = true;
      if (points || indices.length === 1) dots.push([px, py]);
    }
    ctx.stroke();
    ctx.setLineDash([]);
    if (dots.length * 7 < across / ratio) {
      for (const [px, py] of dots) {
        ctx.beginPath();
        ctx.arc(px, py, 2.6 * ratio, 0, 2 * Math.PI);
        ctx.fill();
      }
    }
    ctx.globalAlpha = 1;
  }

  /** Draw a line with several points in every column of pixels: a bar a column covers what it covers, and costs a third. */
  private bars(ctx: CanvasRenderingContext2D, { x, y, indices, dash, width }: Pick<Prepared, 'x' | 'y' | 'indices' | 'dash' | 'width'>, ratio: number): void {
    const { left, top, width: across, height: down } = this.chart.bbox;
    const thick = width * ratio;
    const round = dash.reduce((sum, part) => sum + part, 0) * ratio;
    const isDrawn = (place: number): boolean => {
      let rest = round ? place % round : 0;
      let n = 0;
      for (; n < dash.length && rest >= (dash[n] as number) * ratio; n += 1) rest -= (dash[n] as number) * ratio;
      return n % 2 === 0;
    };
    let [column, low, high, last] = [NaN, 0, 0, NaN];
    const finish = (): void => {
      if (!Number.isNaN(column) && isDrawn(column - left)) ctx.fillRect(column, low - thick / 2, 1, high - low + thick);
    };
    for (const i of indices) {
      const py = top + (1 - this.share(y[i] as number, this.y, this.axes.logY)) * down;
      const px = Math.floor(left + this.share(x[i] as number, this.x, this.axes.logX) * across);
      if (!Number.isFinite(py) || !Number.isFinite(px)) {
        finish();
        [column, last] = [NaN, NaN];
        continue;
      }
      if (px !== column) {
        finish();
        const from = Number.isNaN(last) ? py : last;
        if (px > column + 1) ctx.fillRect(column + 1, (from + py - thick) / 2, px - column - 1, thick); // columns with no point
        [column, low, high] = [px, Math.min(py, from), Math.max(py, from)]; // on from where the one before ended
      } else {
        if (py < low) low = py;
        if (py > high) high = py;
      }
      last = py;
    }
    finish();
  }

  /** Write each line's name behind its last point in view, moved apart where they would meet. */
  private nameEnds(ctx: CanvasRenderingContext2D, ratio: number): void {
    const { left, top, width, height } = this.chart.bbox;
    const ends = this.prepared
      .filter(({ label, indices }) => label && indices.length)
      .map(({ label, color, x, y, indices }) => {
        const inside = indices.findLast((i) => (x[i] as number) <= this.x[1] && Number.isFinite(y[i]));
        const value = inside === undefined ? NaN : (y[inside] as number);
        const px = inside === undefined ? 0 : left + this.share(x[inside] as number, this.x, this.axes.logX) * width;
        return { label, color, px, py: top + (1 - this.share(value, this.y, this.axes.logY)) * height };
      })
      .filter(({ py }) => Number.isFinite(py))
      .sort((a, b) => a.py - b.py);
    const gap = 14 * ratio;
    for (let i = 1; i < ends.length; i += 1) ends[i]!.py = Math.max(ends[i]!.py, ends[i - 1]!.py + gap);
    const over = (ends.at(-1)?.py ?? 0) - (top + height);
    if (over > 0) for (let i = ends.length - 1, limit = top + height; i >= 0; i -= 1, limit -= gap) ends[i]!.py = Math.min(ends[i]!.py, limit);
    ctx.textAlign = 'left';
    ctx.textBaseline = 'middle';
    for (const { label, color, px, py } of ends) {
      ctx.fillStyle = color;
      ctx.strokeStyle = this.look.paper; // a rim of paper, so that the name can be read where other lines pass
      ctx.lineWidth = 5 * ratio;
      ctx.lineJoin = 'round';
      ctx.strokeText(label, px + 6 * ratio, py);
      ctx.fillText(label, px + 6 * ratio, py);
    }
  }
}
