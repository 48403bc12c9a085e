// Answers that may come after the explanation: asked a little later, given up when another number is looked at.

import { ask, indexText } from './api';
import type { Query } from '../../api/client';

const AFTER_MS = 140;

export interface Later<T> {
  readonly of: string;
  readonly found: T | null;
  readonly failed: string;
}

/** Ask about a number as soon as it rests; returns how to give it up. `keep` gets the answer. */
export function askLater<T>(path: string, of: string, spot: { address: string; index: readonly number[] }, keep: (answer: Later<T>) => void, query: Query = {}): () => void {
  const aborting = new AbortController();
  const timer = setTimeout(() => {
    ask<T>(path, { address: spot.address, index: indexText(spot.index), ...query }, aborting.signal)
      .then((found) => keep({ of, found, failed: '' }))
      .catch((error: unknown) => {
        if (!aborting.signal.aborted) keep({ of, found: null, failed: error instanceof Error ? error.message : String(error) });
      });
  }, AFTER_MS);
  return () => {
    clearTimeout(timer);
    aborting.abort();
  };
}
