// How a run stands, in words; a mark beside them so that colour is never needed.

import { count, duration } from '../../lib/numbers';
import type { RunFacts } from './wire';

export type Standing = 'queued' | 'running' | 'finished' | 'stopped' | 'failed' | 'gone';

export const MARKS: Record<Standing, string> = { queued: '◌', running: '▶', finished: '✓', stopped: '❚❚', failed: '✕', gone: '–' };
const WORDS: Record<Standing, string> = { queued: 'waits in the queue', running: 'training', finished: 'finished', stopped: 'stopped', failed: 'failed', gone: 'deleted' };

export function standing(status: string): Standing {
  return status in WORDS ? (status as Standing) : 'stopped';
}

export function inWords(status: string): string {
  return WORDS[standing(status)];
}

/** Return how far a run is: "step 120 of 828". */
export function progress({ steps, total_steps }: Pick<RunFacts, 'steps' | 'total_steps'>): string {
  return total_steps ? `step ${count(steps)} of ${count(total_steps)}` : `step ${count(steps)}`;
}

/** Return the seconds a run will still take at its latest pace, or undefined where there is no telling. */
export function secondsLeft(steps: Float64Array, seconds: Float64Array, total: number | null): number | undefined {
  const last = Math.min(steps.length, seconds.length) - 1;
  if (last < 1 || !total) return undefined;
  const from = Math.max(0, last - 1000);
  const pace = ((seconds[last] as number) - (seconds[from] as number)) / ((steps[last] as number) - (steps[from] as number));
  return pace >= 0 ? Math.max(0, total - (steps[last] as number)) * pace : undefined;
}

/** Return a time of the lab (UTC, ISO 8601) as people here write it. */
export function when(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}

/** Return a count in short: 1.4 M. */
export function many(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} billion`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} million`;
  return count(value);
}

export { duration };
