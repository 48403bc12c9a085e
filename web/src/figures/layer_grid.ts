// What a grid of layers and positions is made of, and how one moves in it.

export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

export interface GridLabel {
  readonly text: string;
  /** What the label stands for in full. */
  readonly title?: string;
}

export interface GridCell {
  readonly text: string;
  /** A second, smaller line. */
  readonly under?: string;
  /** How strongly the cell is shaded: -1 to 1, NaN where nothing was computed. */
  readonly share: number;
  /** What the cell says in full: read aloud, and shown under the grid while it is pointed at. */
  readonly said: string;
  /** For cells that are switches: whether it is on. */
  readonly isOn?: boolean;
  /** Written in bold. */
  readonly isMarked?: boolean;
}

/** Return which of `columns` columns of a width are in sight, with some on both sides. */
export function columnsInSight(left: number, seen: number, width: number, columns: number): number[] {
  const first = Math.max(0, Math.floor(left / width) - 2);
  const end = Math.min(columns, Math.ceil((left + seen) / width) + 2);
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
}

/** Return where a key leads, or nothing where it does not move. */
export function movedBy(event: { key: string; ctrlKey: boolean }, at: GridPlace, rows: number, columns: number, page: number): GridPlace | undefined {
  const to: Record<string, GridPlace> = {
    ArrowUp: { row: at.row - 1, column: at.column },
    ArrowDown: { row: at.row + 1, column: at.column },
    ArrowLeft: { row: at.row, column: at.column - 1 },
    ArrowRight: { row: at.row, column: at.column + 1 },
    Home: { row: event.ctrlKey ? 0 : at.row, column: 0 },
    End: { row: event.ctrlKey ? rows - 1 : at.row, column: columns - 1 },
    PageUp: { row: at.row, column: at.column - page },
    PageDown: { row: at.row, column: at.column + page },
  };
  const found = to[event.key];
  return found && { row: Math.min(rows - 1, Math.max(0, found.row)), column: Math.min(columns - 1, Math.max(0, found.column)) };
}
