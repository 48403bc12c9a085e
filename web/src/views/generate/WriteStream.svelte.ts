// One text as it comes from the lab. What was written stays known while the page is open, so that going back to a branch, or
// to settings one had before, shows it at once.

import { LabError, stream, type Wire } from '../../api/client';
import type { Settings } from './WriteSettings';
import { pathText, type Path } from './WriteState';

export type Token = Wire<'WrittenToken'>;
type WriteEvent = Wire<'WriteEvents'>['events'][number];
export type Stage = 'waiting' | 'writing' | 'done' | 'stopped' | 'failed';

export interface TextKey {
  readonly model: string;
  readonly prompt: string;
  readonly settings: Settings;
  readonly path: Path;
}

export class Writing {
  tokens = $state.raw<readonly Token[]>([]);
  stage = $state<Stage>('waiting');
  error = $state('');
  start = $state.raw<Wire<'WriteStart'>>();
  end = $state.raw<Wire<'WriteEnd'>>();
  /** Tokens in a second, as they arrive here. */
  rate = $state(0);
  readonly #control = new AbortController();

  constructor(
    readonly key: TextKey,
    readonly known: readonly Token[] = [],
  ) {
    this.tokens = known;
    void this.#run();
  }

  get isOver(): boolean {
    return this.stage !== 'waiting' && this.stage !== 'writing';
  }

  /** Stop it, here and in the lab. */
  stop(): void {
    if (this.isOver) return;
    this.#control.abort();
    this.stage = 'stopped';
  }

  async #run(): Promise<void> {
    const { model, prompt, settings, path } = this.key;
    const forced = Object.fromEntries(path.map(({ t, id }) => [t, id]));
    const body = { model, prompt, settings, forced, given: this.known.map(({ id }) => id) };
    let began = 0;
    try {
      for await (const event of stream<WriteEvent>('/generate/write', body, this.#control.signal)) {
        if (event.event === 'start') {
          this.start = event;
          this.stage = 'writing';
        } else if (event.event === 'tokens') {
          if (began === 0) began = performance.now();
          this.tokens = [...this.tokens, ...event.tokens];
          const seconds = (performance.now() - began) / 1000;
          if (seconds > 0.2) this.rate = (this.tokens.length - this.known.length) / seconds;
        } else if (event.event === 'end') {
          this.end = event;
          this.rate = (this.tokens.length - this.known.length) / event.seconds;
          this.stage = 'done';
        } else {
          this.error = event.error;
          this.stage = 'failed';
        }
      }
      if (!this.isOver) throw new LabError('The lab ended before the text did.', 0);
    } catch (error) {
      if (this.isOver) return;
      this.error = error instanceof Error ? error.message : String(error);
      this.stage = 'failed';
    }
  }
}

const KEPT = 60;
const kept = new Map<string, Writing>();

function nameOf(key: TextKey): string {
  return JSON.stringify([key.model, key.prompt, key.settings, pathText(key.path)]);
}

/** Return the text of a key: the one there is, or a new one that begins. */
export function writing(key: TextKey): Writing {
  const name = nameOf(key);
  let found = kept.get(name);
  if (!found || found.stage === 'failed' || found.stage === 'stopped') found = new Writing(key, knownOf(key));
  kept.delete(name);
  kept.set(name, found);
  for (const [oldest, one] of kept) {
    if (kept.size <= KEPT) break;
    one.stop();
    kept.delete(oldest);
  }
  return found;
}

/** Return the text of a key if it was written in this page. */
export function written(key: TextKey): Writing | undefined {
  return kept.get(nameOf(key));
}

/** Up to where a branch leaves its stem, its tokens are the stem's. */
function knownOf(key: TextKey): readonly Token[] {
  const last = key.path.at(-1);
  const stem = last && kept.get(nameOf({ ...key, path: key.path.slice(0, -1) }));
  return stem ? stem.tokens.slice(0, last.t) : [];
}
