// Asks the lab. Types of what comes back are generated from the server's schema (schema.d.ts); big arrays of numbers come
// as bytes (arrays.ts).

import { decode, type Arrays } from './arrays';
import type { components } from './schema';

/** A type of the server's schema, by its name. */
export type Wire<Name extends keyof components['schemas']> = components['schemas'][Name];

/** What the lab said instead of an answer: one line for people, and which setting it is about, if one. */
export class LabError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly field: string = '',
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | undefined>;

function url(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return `/api${path}${given.length ? `?${search}` : ''}`;
}

async function ask(method: string, path: string, query?: Query, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const init: RequestInit = { method };
  if (signal) init.signal = signal;
  if (body instanceof Blob) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  let answer: Response;
  try {
    answer = await fetch(url(path, query), init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new LabError('The lab does not answer. Is `cutaway` still running in the terminal?', 0);
  }
  if (answer.ok) return answer;
  if (answer.status === 401) window.dispatchEvent(new Event('cutaway-locked'));
  const said: unknown = await answer.json().catch(() => null);
  const { error, field } = (said ?? {}) as { error?: string; field?: string };
  throw new LabError(error ?? `The lab answered ${answer.status} ${answer.statusText}.`, answer.status, field ?? '');
}

/** Return a JSON object. */
export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await ask('GET', path, query, undefined, signal)).json() as Promise<T>;
}

/** Send a JSON object (or a file) and return one. */
export async function post<T>(path: string, body?: unknown, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await ask('POST', path, query, body, signal)).json() as Promise<T>;
}

/** Send a JSON object and return the file that comes back, with the name that the lab gives it. */
export async function file(path: string, body: unknown): Promise<{ content: Blob; name: string }> {
  const answer = await ask('POST', path, undefined, body);
  const [, name = 'file'] = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '') ?? [];
  return { content: await answer.blob(), name };
}

/** Delete something. */
export async function remove<T>(path: string): Promise<T> {
  return (await ask('DELETE', path)).json() as Promise<T>;
}

/** Return arrays of numbers, and what is said about them. */
export async function arrays<Meta>(path: string, query?: Query, body?: unknown, signal?: AbortSignal): Promise<Arrays<Meta>> {
  const answer = await ask(body === undefined ? 'GET' : 'POST', path, query, body, signal);
  return decode<Meta>(await answer.arrayBuffer());
}

/** Send a JSON object and yield the objects the lab answers with, as they come (server-sent events). */
export async function* stream<T>(path: string, body: unknown, signal?: AbortSignal): AsyncGenerator<T> {
  const answer = await ask('POST', path, undefined, body, signal);
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  while (reader) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split('\n\n');
    rest = events.pop() ?? '';
    for (const one of events) if (one.startsWith('data: ')) yield JSON.parse(one.slice('data: '.length)) as T;
  }
}
