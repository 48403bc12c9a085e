// How far a run is, and how long it takes, from its last row.

import type { RunState } from '../state/live.svelte';

export interface Progress {
  step: number;
  totalSteps: number;
  /** From 0 to 1. */
  share: number;
  /** At the mean speed so far; undefined where too little is known. */
  secondsLeft: number | undefined;
}

export function progressOf(run: RunState | undefined): Progress | undefined {
  const step = run?.last?.step;
  const seconds = run?.last?.seconds;
  if (!run?.total_steps || typeof step !== 'number') return undefined;
  const share = Math.min(1, step / run.total_steps);
  const isEnough = typeof seconds === 'number' && step > 2;
  return { step, totalSteps: run.total_steps, share, secondsLeft: isEnough ? (seconds / step) * (run.total_steps - step) : undefined };
}
