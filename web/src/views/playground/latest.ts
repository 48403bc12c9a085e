// One question at a time, and of those that came up meanwhile only the last: what a drag or a scrub needs.

/** Return a function that asks; `done` gets the answers, `failed` the errors. Older questions that wait are dropped. */
export function latest<Q, A>(ask: (question: Q, signal: AbortSignal) => Promise<A>, done: (answer: A, question: Q) => void, failed: (error: unknown) => void) {
  let isBusy = false;
  let next: { question: Q } | undefined;
  let running = new AbortController();

  async function work(): Promise<void> {
    if (isBusy) return;
    isBusy = true;
    while (next) {
      const { question } = next;
      next = undefined;
      running = new AbortController();
      try {
        const answer = await ask(question, running.signal);
        if (!running.signal.aborted) done(answer, question);
      } catch (error) {
        if (!running.signal.aborted) failed(error);
      }
    }
    isBusy = false;
  }

  return {
    ask(question: Q): void {
      next = { question };
      void work();
    },
    /** Forget all questions; answers still on their way do not count. */
    stop(): void {
      next = undefined;
      running.abort();
    },
  };
}
