// An answer of the lab that follows the situation: asked anew whenever the question changes, the newest question wins.

import { untrack } from 'svelte';
import { LabError } from '../../api/client';
import { latest } from './latest';

export interface Answered<A> {
  readonly value: A | undefined;
  readonly error: string;
  /** The setting the error is about, if one. */
  readonly field: string;
}

/**
 * Return what the lab answers to `question()`; undefined questions are not asked. While a new answer is on its way the old
 * one stays. `wait`: milliseconds between questions at least.
 */
export function asked<Q, A>(question: () => Q | undefined, ask: (question: Q, signal: AbortSignal) => Promise<A>, wait = 0): Answered<A> {
  let value = $state.raw<A>();
  let error = $state('');
  let field = $state('');
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastTime = -Infinity;
  let next: Q | undefined;
  const asking = latest<Q, A>(
    ask,
    (answer) => {
      value = answer;
      error = '';
      field = '';
    },
    (cause) => {
      error = cause instanceof Error ? cause.message : String(cause);
      field = cause instanceof LabError ? cause.field : '';
    },
  );

  function send(): void {
    timer = undefined;
    if (next === undefined) return;
    lastTime = performance.now();
    asking.ask(next);
    next = undefined;
  }

  $effect(() => {
    const now = question();
    untrack(() => {
      if (now === undefined) return;
      next = now;
      timer ??= setTimeout(send, Math.max(0, lastTime + wait - performance.now()));
    });
  });
  $effect(() => () => {
    clearTimeout(timer);
    asking.stop();
  });
  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    get field() {
      return field;
    },
  };
}
