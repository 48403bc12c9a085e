// What the paint screen asks the lab, and pictures as they travel: uint8, rows, columns, colours, in base64.

import { get, post, type Wire } from '../../api/client';

export type Painter = Wire<'PainterFacts'>;
export type Settings = Required<Wire<'PaintSettings'>>;
export type PaintEvent = Wire<'PaintEvents'>['events'][number];
export type PromptWord = Wire<'PromptWord'>;

const EXAMPLE = 'a cat wearing a tiny hat';

/** Return all models, those that paint first. */
export async function listPainters(): Promise<Painter[]> {
  return (await get<Wire<'Painters'>>('/paint/painters')).painters;
}

export function readPrompt(model: string, prompt: string, signal: AbortSignal): Promise<Wire<'PromptRead'>> {
  return post('/paint/read', { model, prompt }, undefined, signal);
}

export function listWords(model: string): Promise<Wire<'Words'>> {
  return get('/paint/words', { model });
}

/** What a model is asked where nobody has said anything. */
export function example(model: Painter): string {
  return model.told === 'words' ? EXAMPLE : model.told === 'labels' ? (model.labels?.[0] ?? '') : '';
}

/** Return a model's name for people. */
export function painterTitle(model: Painter): string {
  return model.kind === 'shipped' ? 'the one that comes with Cutaway' : model.name;
}

export function unpacked(text: string): Uint8Array {
  const bytes = atob(text);
  const found = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i += 1) found[i] = bytes.charCodeAt(i);
  return found;
}

export function packed(pixels: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < pixels.length; i += 8192) parts.push(String.fromCharCode(...pixels.subarray(i, i + 8192)));
  return btoa(parts.join(''));
}
