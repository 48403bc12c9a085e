// Which component draws which kind of figure.

import type { Component } from 'svelte';
import type { Ask, Data } from './model';
import Attention from './Attention.svelte';
import Run from './Run.svelte';
import Trace from './Trace.svelte';

export interface Drawn {
  data: Data;
  /** A way to ask Python, where the figure answers questions. */
  ask: Ask | undefined;
}

export const drawings: Readonly<Record<string, Component<Drawn>>> = {
  attention: Attention,
  run: Run,
  trace: Trace,
};
