// Pictures as they come into focus. What was painted stays known while the page is open, so that going back to a prompt, a
// seed or settings one had before shows it at once; the same question always gives the same pictures.

import { LabError, stream } from '../../api/client';
import { unpacked, type PaintEvent, type Settings } from './api';

export interface Frame {
  /** 0 noise, 1 picture. */
  readonly t: number;
  /** All pictures, one after the other. */
  readonly now: Uint8Array;
  /** What the model expected them to become; undefined until it was asked at this step. */
  readonly expected?: Uint8Array;
}

export interface Asked {
  readonly model: string;
  readonly prompt: string;
  readonly settings: Settings;
  /** What is painted on; left out: noise. */
  readonly picture?: string;
  /** Where that stays as it is; left out: it is a drawing to start from. */
  readonly keep?: string;
  /** Of a drawing: how far back to noise. */
  readonly level?: number;
  /** Of pictures from noise: drafts of each, of which the reader chooses one. */
  readonly best_of?: number;
}

export type Stage = 'waiting' | 'painting' | 'done' | 'stopped' | 'failed';

export class Painting {
  frames = $state.raw<readonly Frame[]>([]);
  stage = $state<Stage>('waiting');
  error = $state('');
  /** Others whose work comes first. */
  ahead = $state(0);
  /** Steps that the drafts have come. */
  drafted = $state(0);
  size = $state(0);
  channels = $state(3);
  seeds = $state.raw<readonly number[]>([]);
  unknown = $state.raw<readonly string[]>([]);
  seconds = $state(0);
  readonly #control = new AbortController();

  constructor(readonly asked: Asked) {
    void this.#run();
  }

  get isOver(): boolean {
    return this.stage !== 'waiting' && this.stage !== 'painting';
  }

  /** Stop it, here and in the lab. */
  stop(): void {
    if (this.isOver) return;
    this.#control.abort();
    this.stage = 'stopped';
  }

  /** One picture's pixels at a step; beyond the last: the last. */
  pixels(index: number, step = -1, shown: 'now' | 'expected' = 'now'): Uint8Array | undefined {
    const frame = this.frames[step < 0 ? this.frames.length - 1 : Math.min(step, this.frames.length - 1)];
    const length = this.size * this.size * this.channels;
    const all = shown === 'expected' ? (frame?.expected ?? frame?.now) : frame?.now;
    return all?.subarray(index * length, (index + 1) * length);
  }

  async #run(): Promise<void> {
    try {
      for await (const event of stream<PaintEvent>('/paint/pictures', this.asked, this.#control.signal)) this.#hear(event);
      if (!this.isOver) throw new LabError('The lab ended before the pictures were done.', 0);
    } catch (error) {
      if (this.isOver) return;
      this.error = error instanceof Error ? error.message : String(error);
      this.stage = 'failed';
    }
  }

  #hear(event: PaintEvent): void {
    if (event.event === 'waits') this.ahead = event.ahead;
    else if (event.event === 'drafts') this.drafted = event.step;
    else if (event.event === 'start') {
      this.size = event.size;
      this.channels = event.channels;
      this.seeds = event.seeds;
      this.unknown = event.unknown;
      this.stage = 'painting';
    } else if (event.event === 'frame') {
      const frames = [...this.frames];
      const before = frames[event.step - 1];
      if (event.expected && before) frames[event.step - 1] = { ...before, expected: unpacked(event.expected) };
      frames[event.step] = { t: event.t, now: unpacked(event.pictures) };
      this.frames = frames;
    } else if (event.event === 'end') {
      this.seconds = event.seconds;
      this.stage = 'done';
    } else {
      this.error = event.error;
      this.stage = 'failed';
    }
  }
}

const KEPT = 24;
const kept = new Map<string, Painting>();

/** Return the pictures of a question: those there are, or new ones that begin. */
export function painting(asked: Asked): Painting {
  const name = JSON.stringify(asked);
  let found = kept.get(name);
  if (!found || found.stage === 'failed' || found.stage === 'stopped') found = new Painting(asked);
  kept.delete(name);
  kept.set(name, found);
  for (const [oldest, one] of kept) {
    if (kept.size <= KEPT) break;
    one.stop();
    kept.delete(oldest);
  }
  return found;
}
