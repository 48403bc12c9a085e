// An answer of the lab that follows what is asked: the last one asked for counts, earlier ones are given up, and while one
// waits the one before stays on the page.

const PAUSE_MS = 120;

export interface Latest<T> {
  readonly value: T | undefined;
  readonly error: string;
  readonly isBusy: boolean;
  /** Whether a person gave up the last question, and no other was asked since. */
  readonly isStopped: boolean;
  /** Give up the question, here and in the lab. */
  stop(): void;
  /** Ask the same once more. */
  again(): void;
}

/** Follow a question. `question` reads what is asked and returns how to ask it, or undefined where there is nothing to ask. */
export function latest<T>(question: (signal: AbortSignal) => (() => Promise<T>) | undefined): Latest<T> {
  let value = $state.raw<T>();
  let error = $state('');
  let isBusy = $state(true);
  let isStopped = $state(false);
  let attempt = $state(0);
  let asking: AbortController | undefined;
  $effect(() => {
    void attempt;
    const control = new AbortController();
    asking = control;
    isStopped = false;
    const ask = question(control.signal);
    if (!ask) {
      isBusy = false;
      return;
    }
    isBusy = true;
    const timer = setTimeout(() => {
      if (control.signal.aborted) return;
      ask().then(
        (found) => {
          if (control.signal.aborted) return;
          value = found;
          error = '';
          isBusy = false;
        },
        (problem: unknown) => {
          if (control.signal.aborted) return;
          error = problem instanceof Error ? problem.message : String(problem);
          isBusy = false;
        },
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  });
  return {
    get value(): T | undefined {
      return value;
    },
    get error(): string {
      return error;
    },
    get isBusy(): boolean {
      return isBusy;
    },
    get isStopped(): boolean {
      return isStopped;
    },
    stop(): void {
      if (!isBusy) return;
      asking?.abort();
      isBusy = false;
      isStopped = true;
    },
    again(): void {
      attempt += 1;
    },
  };
}
