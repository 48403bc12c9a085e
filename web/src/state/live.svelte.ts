// What changes in the lab, as it happens. All tabs of a browser share one stream (browsers allow six connections to a
// host): the tab that holds a lock listens and tells the others. It reconnects by itself.
//
//   live.jobs, live.runs, live.connected        reactive
//   const stop = watchRun('stdlib-1', (news) => ...)
//
// No row of a run is ever missed: news say at which row they begin. Who has the first `have` rows
//   news.restarted: the run went back (it was continued from a checkpoint, or made anew): forget the rows from news.from on
//   news.from <= have: take news.rows.slice(have - news.from)
//   news.from > have: ask /runs/NAME/metrics?from=have, which has them all
// On every (re)connection, and when watching begins, there are news without rows that say how many there are by now. A tab
// nobody sees hears nothing of rows until it is looked at again: twenty tabs in the background cost nothing.

import { get, type Wire } from '../api/client';

/** A line of metrics.jsonl; null is a number JSON has no word for. */
export type Row = Record<string, number | null | Record<string, number | null>>;

export interface RunNews {
  run: string;
  /** Index of the first of `rows`; where there are none: how many rows the run has. */
  from: number;
  rows: Row[];
  restarted: boolean;
  samples: number;
  checkpoints: number;
  /** running, finished, failed, stopped; gone: the run was deleted. */
  status: string;
  totalSteps: number | null;
}

type Told = Wire<'RunNow'> & { from: number; went_back: boolean; new: Row[] };
type Message = { kind: 'jobs'; jobs: Wire<'Job'>[] } | { kind: 'run'; told: Told } | { kind: 'connected'; connected: boolean } | { kind: 'beat' } | { kind: 'hello' };

interface Watcher {
  readonly callback: (news: RunNews) => void;
  /** Which run of that name it has seen. */
  made: string;
  /** The row to which the run went back while the tab was not looked at. */
  back?: number;
}

/** A run as the frame knows it: how far it is, and its last row. */
export interface RunState extends Wire<'RunNow'> {
  last?: Row;
}

const CHANNEL = 'cutaway-live';
const SILENCE_MS = 25_000; // the lab says something every 10 s
const RETRY_MS = 1000;

let jobs = $state.raw<Wire<'Job'>[]>([]);
let runs = $state.raw<Readonly<Record<string, RunState>>>({});
let connected = $state(true);
let hasJobs = $state(false);

export const live = {
  /** The queue, newest first. */
  get jobs(): readonly Wire<'Job'>[] {
    return jobs;
  },
  /** Runs that run, or did since the page was opened. */
  get runs(): Readonly<Record<string, RunState>> {
    return runs;
  },
  /** Whether the lab is there. */
  get connected(): boolean {
    return connected;
  },
  /** Whether `jobs` is known yet. */
  get isKnown(): boolean {
    return hasJobs;
  },
};

const watchers = new Map<string, Set<Watcher>>();
const channel = 'BroadcastChannel' in window ? new BroadcastChannel(CHANNEL) : undefined;
let source: EventSource | undefined;
let leads = false;
let heard = Date.now();

/** Be told of new rows of a run; returns how to stop. */
export function watchRun(run: string, callback: (news: RunNews) => void): () => void {
  const watcher: Watcher = { callback, made: '' };
  const group = watchers.get(run) ?? new Set<Watcher>();
  watchers.set(run, group.add(watcher));
  void ask(run, watcher);
  return () => {
    group.delete(watcher);
    if (group.size === 0) watchers.delete(run);
  };
}

async function ask(run: string, watcher: Watcher): Promise<void> {
  const now = await get<Wire<'RunNow'>>(`/events/${encodeURIComponent(run)}`).catch(() => undefined);
  if (now && watchers.get(run)?.has(watcher)) tell(watcher, { ...now, from: now.rows, went_back: false, new: [] });
}

function askAll(): void {
  for (const [run, group] of watchers) for (const watcher of group) void ask(run, watcher);
}

function tell(watcher: Watcher, told: Told): void {
  const isAnother = watcher.made !== '' && watcher.made !== told.made;
  watcher.made = told.made;
  const { run, samples, checkpoints, status } = told;
  const rest = { run, samples, checkpoints, status, totalSteps: told.total_steps };
  if (isAnother) watcher.callback({ ...rest, from: 0, rows: [], restarted: true });
  else if (watcher.back !== undefined) watcher.callback({ ...rest, from: watcher.back, rows: [], restarted: true });
  delete watcher.back;
  watcher.callback({ ...rest, from: told.from, rows: told.new, restarted: told.went_back });
}

function take(message: Message): void {
  if (message.kind === 'jobs') {
    jobs = message.jobs;
    hasJobs = true;
  } else if (message.kind === 'run') {
    const { from, went_back: wentBack, new: rows, ...now } = message.told;
    const last = rows.at(-1) ?? (wentBack ? undefined : runs[now.run]?.last);
    runs = { ...runs, [now.run]: last ? { ...now, last } : now };
    for (const watcher of watchers.get(now.run) ?? []) {
      if (!document.hidden) tell(watcher, message.told);
      else if (wentBack) watcher.back = Math.min(from, watcher.back ?? from);
    }
  } else if (message.kind === 'connected') {
    const isBack = message.connected && !connected;
    connected = message.connected;
    if (isBack) askAll();
  }
}

function pass(message: Message): void {
  take(message);
  if (leads) channel?.postMessage(message);
}

function listen(): void {
  source?.close();
  heard = Date.now();
  const opened = new EventSource('/api/events');
  source = opened;
  const hear = (kind: string, read: (data: string) => Message): void =>
    opened.addEventListener(kind, (event: MessageEvent<string>) => {
      heard = Date.now();
      pass(read(event.data));
    });
  hear('jobs', (data) => ({ kind: 'jobs', jobs: JSON.parse(data) as Wire<'Job'>[] }));
  hear('run', (data) => ({ kind: 'run', told: JSON.parse(data) as Told }));
  hear('beat', () => ({ kind: 'beat' }));
  opened.onopen = () => pass({ kind: 'connected', connected: true });
  opened.onerror = () => {
    pass({ kind: 'connected', connected: false });
    if (opened.readyState !== EventSource.CLOSED) return; // else it tries again by itself
    void get('/about').catch(() => undefined); // is it the password?
    setTimeout(() => source === opened && listen(), RETRY_MS);
  };
}

channel?.addEventListener('message', (event: MessageEvent<Message>) => {
  const message = event.data;
  if (message.kind === 'hello') {
    if (!leads) return;
    channel.postMessage({ kind: 'jobs', jobs } satisfies Message);
    channel.postMessage({ kind: 'connected', connected } satisfies Message);
    for (const { last, ...now } of Object.values(runs)) channel.postMessage({ kind: 'run', told: { ...now, from: now.rows - (last ? 1 : 0), went_back: false, new: last ? [last] : [] } } satisfies Message);
    return;
  }
  heard = Date.now();
  if (!leads) source?.close();
  if (!leads) source = undefined;
  take(message);
});

if (channel && 'locks' in navigator) {
  void navigator.locks.request(CHANNEL, () => {
    leads = true;
    listen();
    return new Promise(() => undefined); // held until the tab is closed
  });
  channel.postMessage({ kind: 'hello' } satisfies Message);
} else listen();

document.addEventListener('visibilitychange', () => !document.hidden && askAll());

// Whoever hears nothing for long listens for itself: the leading tab may be asleep, the connection half dead.
setInterval(() => Date.now() - heard > SILENCE_MS && listen(), RETRY_MS * 5);
