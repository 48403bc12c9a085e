// Where the cells of a heat map are on the screen. Painting and pointing ask the same functions, so the cell that is read
// under the pointer is the cell that was painted there, at every zoom and on every screen.
//
// One number, the zoom, goes from 0 (everything in sight) to 1 (cells large enough for numbers). Cells begin with the shape
// that fills the picture and end with the shape of a number; in between both sides grow by a constant factor.

export interface Plane {
  readonly rows: number;
  readonly columns: number;
}

/** What is in sight: the middle of the picture, in cells, and the zoom. */
export interface View {
  readonly row: number;
  readonly column: number;
  readonly zoom: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface CellSize extends Size {}

export const LARGEST_CELL: CellSize = { width: 76, height: 30 };
const THINNEST_PICTURE = 240;

/** Return how large a cell is when everything is in sight: square, unless the picture would become a thread. */
export function wholeCell({ rows, columns }: Plane, { width, height }: Size): CellSize {
  const across = width / Math.max(1, columns);
  const down = height / Math.max(1, rows);
  const square = Math.min(across, down);
  const wide = Math.min(across, Math.max(square, THINNEST_PICTURE / Math.max(1, columns)));
  const high = Math.min(down, Math.max(square, THINNEST_PICTURE / Math.max(1, rows)));
  const isSmall = across >= LARGEST_CELL.width * 0.6 && down >= LARGEST_CELL.height * 0.8;
  if (isSmall) return { width: Math.min(across, LARGEST_CELL.width), height: Math.min(down, LARGEST_CELL.height) };
  return { width: Math.min(wide, LARGEST_CELL.width), height: Math.min(high, LARGEST_CELL.height) };
}

/** Return how large a cell is at a zoom. */
export function cellAt(zoom: number, plane: Plane, size: Size): CellSize {
  const whole = wholeCell(plane, size);
  return {
    width: whole.width ** (1 - zoom) * LARGEST_CELL.width ** zoom,
    height: whole.height ** (1 - zoom) * LARGEST_CELL.height ** zoom,
  };
}

/** Return how high a picture should be: what its cells need when square, no thread, and no more than there is. */
export function pictureHeight(plane: Plane, width: number, most: number): number {
  const square = width / Math.max(1, plane.columns);
  return Math.ceil(Math.min(most, plane.rows * LARGEST_CELL.height, Math.max(plane.rows * square, THINNEST_PICTURE)));
}

/** Return how far the zoom goes for cells `factor` times as large. */
export function zoomStep(factor: number, plane: Plane, size: Size): number {
  const whole = wholeCell(plane, size);
  const range = Math.max(Math.log(LARGEST_CELL.width / whole.width), Math.log(LARGEST_CELL.height / whole.height));
  return range > 0.05 ? Math.log(factor) / range : 0;
}

/** Return the view with everything in sight. */
export function wholeView({ rows, columns }: Plane): View {
  return { row: rows / 2, column: columns / 2, zoom: 0 };
}

/** The view, its numbers ready for painting and pointing. Lengths are in device pixels. */
export class Frame {
  readonly cell: CellSize;
  /** The cell, as a fraction, at the left and upper edge of the picture. */
  readonly left: number;
  readonly top: number;

  constructor(
    readonly view: View,
    readonly plane: Plane,
    readonly size: Size,
    readonly ratio: number,
  ) {
    this.cell = cellAt(view.zoom, plane, size);
    this.left = first(view.column, plane.columns, size.width / this.cell.width);
    this.top = first(view.row, plane.rows, size.height / this.cell.height);
  }

  /** Return the column that a device pixel shows, from its middle; it may lie outside the plane. */
  column(x: number): number {
    return Math.floor(this.left + (x + 0.5) / (this.cell.width * this.ratio));
  }
  row(y: number): number {
    return Math.floor(this.top + (y + 0.5) / (this.cell.height * this.ratio));
  }

  /** Return the first device pixel of a column: what `column` says, turned around. */
  x(column: number): number {
    return Math.ceil((column - this.left) * this.cell.width * this.ratio - 0.5);
  }
  y(row: number): number {
    return Math.ceil((row - this.top) * this.cell.height * this.ratio - 0.5);
  }

  /** Return the cells in sight, the last not included. */
  seen(): { row: number; column: number; rows: number; columns: number } {
    const column = Math.max(0, Math.floor(this.left));
    const row = Math.max(0, Math.floor(this.top));
    const right = Math.min(this.plane.columns, Math.ceil(this.left + this.size.width / this.cell.width));
    const bottom = Math.min(this.plane.rows, Math.ceil(this.top + this.size.height / this.cell.height));
    return { row, column, rows: Math.max(0, bottom - row), columns: Math.max(0, right - column) };
  }

  /** Return the view zoomed about a point of the picture, in CSS pixels: what is under it stays there. */
  zoomed(to: number, x: number, y: number): View {
    const zoom = Math.min(1, Math.max(0, to));
    const column = this.left + x / this.cell.width;
    const row = this.top + y / this.cell.height;
    const cell = cellAt(zoom, this.plane, this.size);
    return this.kept({ zoom, column: column + (this.size.width / 2 - x) / cell.width, row: row + (this.size.height / 2 - y) / cell.height });
  }

  /** Return the view moved by a distance in CSS pixels. */
  moved(x: number, y: number): View {
    const column = this.left + this.size.width / 2 / this.cell.width;
    const row = this.top + this.size.height / 2 / this.cell.height;
    return this.kept({ zoom: this.view.zoom, column: column - x / this.cell.width, row: row - y / this.cell.height });
  }

  /** Return the view moved as little as needed to have a cell in sight. */
  showing(row: number, column: number): View {
    const wide = this.size.width / this.cell.width;
    const high = this.size.height / this.cell.height;
    const left = Math.min(column, Math.max(this.left, column + 1 - wide));
    const top = Math.min(row, Math.max(this.top, row + 1 - high));
    return left === this.left && top === this.top ? this.view : this.kept({ zoom: this.view.zoom, column: left + wide / 2, row: top + high / 2 });
  }

  private kept(view: View): View {
    const cell = cellAt(view.zoom, this.plane, this.size);
    const wide = this.size.width / cell.width;
    const high = this.size.height / cell.height;
    return { zoom: view.zoom, column: first(view.column, this.plane.columns, wide) + wide / 2, row: first(view.row, this.plane.rows, high) + high / 2 };
  }
}

/** Return the first cell in sight of `cells`, `seen` of which fit, the view's middle at `middle`: never beyond the edges. */
function first(middle: number, cells: number, seen: number): number {
  return seen >= cells ? 0 : Math.min(cells - seen, Math.max(0, middle - seen / 2));
}
