// What Python tells of a trace (src/cutaway/microscope/trace_figure.py).

import type { WireNumber } from '../api/numbers';

export interface Module {
  /** "" is the model. */
  readonly path: string;
  /** Its class. */
  readonly kind: string;
  readonly depth: number;
  readonly out: readonly string[];
  readonly gradient: readonly string[];
  readonly parameters: readonly string[];
  readonly parameter_count: number;
  /** Operations: forward, backward, optimizer. */
  readonly counts: readonly number[];
  readonly size_out: WireNumber | null;
  readonly size_gradient: WireNumber | null;
}

export interface Tensor {
  readonly address: string;
  readonly shape: readonly number[];
  /** An index for every axis. */
  readonly at: readonly number[];
  /** Whether a number was chosen, at `at`; else only the plane was. */
  readonly chosen: boolean;
  /** Of the plane: its last two axes. */
  readonly rows: number;
  readonly columns: number;
  /** How many rows and columns each number that came stands for. */
  readonly block: readonly number[];
  readonly dtype: string;
  readonly kind: string;
  readonly phase: string;
  readonly is_complex: boolean;
}

export interface Term {
  readonly value: WireNumber;
  readonly weight: WireNumber;
  readonly address: string;
  readonly index: readonly number[];
  readonly others: readonly { address: string; index: readonly number[] }[];
}

export interface Explanation {
  readonly address: string;
  readonly index: readonly number[];
  readonly value: WireNumber;
  readonly kind: string;
  readonly operation: string;
  readonly formula: string;
  readonly numbers: string;
  readonly terms: readonly Term[];
  readonly n_terms: number;
  /** How many of them came. */
  readonly listed: number;
  readonly rest: WireNumber;
  readonly constant: WireNumber;
  readonly adds_up: boolean;
  readonly recomputed: WireNumber | null;
  readonly difference: WireNumber | null;
  readonly verdict: string;
  readonly phase: string;
  readonly module: string;
  readonly source: string;
}

export const spot = (address: string, index: readonly number[]): string => `${address}[${index.join(', ')}]`;
