// The other end of a figure in a notebook (src/cutaway/notebook): its data, and the way to ask Python.

import { decode, type Arrays } from '../api/arrays';

/** What Jupyter and marimo hand to a widget. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...given: never[]) => void): void;
  off(event: string, callback?: (...given: never[]) => void): void;
  send(content: unknown): void;
}

/** What every figure's data says beside its own. */
export interface Head {
  readonly kind: string;
  readonly title: string;
  /** A sentence on it. */
  readonly about: string;
  /** Whether it was made to answer questions while Python runs. */
  readonly can_ask: boolean;
}

export type Data = Arrays<Head & Record<string, unknown>>;
export type Ask = <Meta>(question: Record<string, unknown>) => Promise<Arrays<Meta>>;

/** Return bytes, whatever they came as, at the beginning of a buffer of their own. */
export function bytesOf(given: unknown): ArrayBuffer {
  if (given instanceof ArrayBuffer) return given;
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice().buffer;
  throw new Error('the notebook holds no numbers for this figure');
}

export function dataOf(model: Model): Data {
  return decode(bytesOf(model.get('data')));
}

const PATIENCE_MS = 10_000;

/** Return a way to ask Python; the answer fails, with the reason in words, where nobody answers. */
export function asking(model: Model): { ask: Ask; stop: () => void } {
  const waiting = new Map<string, { done: (answer: Arrays<never>) => void; failed: (error: Error) => void }>();
  const heard = (content: { question?: string; error?: string }, buffers: readonly unknown[]): void => {
    const one = waiting.get(content?.question ?? '');
    if (!one) return;
    waiting.delete(content.question ?? '');
    if (content.error !== undefined) one.failed(new Error(content.error));
    else one.done(decode(bytesOf(buffers[0])));
  };
  model.on('msg:custom', heard);
  const ask: Ask = (question) =>
    new Promise((done, failed) => {
      const id = crypto.getRandomValues(new Uint32Array(2)).join('-');
      const give = setTimeout(() => {
        if (waiting.delete(id)) failed(new Error('Python does not answer: run this cell again to ask about numbers.'));
      }, PATIENCE_MS);
      const end = (): void => clearTimeout(give);
      waiting.set(id, {
        done: (answer) => (end(), done(answer)),
        failed: (error) => (end(), failed(error)),
      });
      try {
        model.send({ ...question, question: id });
      } catch {
        waiting.delete(id);
        end();
        failed(new Error('Python does not run here: open the notebook where it does to ask about numbers.'));
      }
    });
  return { ask, stop: () => model.off('msg:custom', heard) };
}
