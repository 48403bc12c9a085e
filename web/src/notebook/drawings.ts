// Which component draws which kind of figure.

import type { Component } from 'svelte';
import Ablation from './Ablation.svelte';
import Attention from './Attention.svelte';
import Attribution from './Attribution.svelte';
import Comparison from './Comparison.svelte';
import Induction from './Induction.svelte';
import Layers from './Layers.svelte';
import type { Ask, Data } from './model';
import Patching from './Patching.svelte';
import Run from './Run.svelte';
import Scan from './Scan.svelte';
import Surprisal from './Surprisal.svelte';
import Trace from './Trace.svelte';

export interface Drawn {
  data: Data;
  /** A way to ask Python, where the figure answers questions. */
  ask: Ask | undefined;
}

export const drawings: Readonly<Record<string, Component<Drawn>>> = {
  ablation: Ablation,
  attention: Attention,
  attribution: Attribution,
  comparison: Comparison,
  induction: Induction,
  layers: Layers,
  patching: Patching,
  run: Run,
  scan: Scan,
  surprisal: Surprisal,
  trace: Trace,
};

/** Those that say as facts what the sentence under the title says. */
export const WITH_FACTS: readonly string[] = ['run', 'trace'];
