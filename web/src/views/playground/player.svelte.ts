// Shows the frame of the present step, and plays: while one row of frames is shown the next is already on its way.
// Where one is stands in the address (`at.step`); while it plays, the step runs ahead of it by a moment (`player.step`).

import { latest } from './latest';
import { askFrames, type Asked, type Frame, type FramesMeta } from './frames';
import { at, MAX_STEP, situation } from './situation.svelte';

const STEPS_A_SECOND = 10; // at speed 1
const KEPT = 900;
const AHEAD = 40; // frames at hand before the next row is asked for
const ADDRESS_MS = 300; // how far the address may be behind
const ROW_SECONDS = 0.25; // how long the lab may take for one row

let frame = $state.raw<Frame>();
let stop = $state.raw<FramesMeta['stop']>(null);
let lastStep = $state(0);
let onTheWay = $state<number>();
let error = $state('');
let isPlaying = $state(false);
let stride = $state(1);
let playedStep = $state(0);

let frames = new Map<number, Frame>();
let framesKey = '';
let secondsAFrame = 0.002;
let isFetching = false;
let rowCount = 8;
let credit = 0;
let lastTime = 0;
let handle = 0;
let addressTime = 0;
let playedSpeed = '';
let writtenStep = 0; // what the address was told last, while it plays

function stepNow(): number {
  return isPlaying ? playedStep : at.step;
}

function keyNow(): string {
  return `${situation.key} ${situation.point}`;
}

function asked(start: number, count: number, every: number): Asked {
  return { situation: situation.wire, key: keyNow(), start, count, stride: every, point: situation.point };
}

function keep(found: readonly Frame[], meta: FramesMeta, key: string): void {
  if (key !== framesKey) return;
  for (const one of found) {
    frames.delete(one.step);
    frames.set(one.step, one);
  }
  for (const step of frames.keys()) {
    if (frames.size <= KEPT) break;
    frames.delete(step);
  }
  stop = meta.stop;
  lastStep = meta.last_step;
  error = '';
}

function failed(cause: unknown): void {
  pause();
  onTheWay = undefined;
  error = cause instanceof Error ? cause.message : String(cause);
}

const single = latest(
  async (question: Asked, signal) => {
    let answer = await askFrames(question, signal);
    while (!answer.frames.length && !signal.aborted && keyNow() === question.key) {
      onTheWay = answer.meta.reached; // a long way: the lab answers in between
      answer = await askFrames(question, signal);
    }
    return answer;
  },
  ({ meta, frames: found }, { key, start }) => {
    onTheWay = undefined;
    keep(found, meta, key);
    const first = found[0];
    if (key !== keyNow() || !first) return;
    if (first.step < start && stepNow() === start) {
      pause(); // it stopped before
      at.step = first.step;
    }
    if (first.step === stepNow()) frame = first;
  },
  failed,
);

/** Show the present step of the present situation: at once if its frame is at hand, else as soon as the lab has it. */
function show(): void {
  if (isPlaying && at.step !== writtenStep) playedStep = writtenStep = at.step; // someone went elsewhere
  const key = keyNow();
  if (key !== framesKey) {
    frames = new Map();
    framesKey = key;
    rowCount = 8;
    if (onTheWay !== undefined) single.stop();
    onTheWay = undefined;
  }
  const step = stepNow();
  const there = frames.get(step);
  if (there) {
    frame = there;
    error = '';
  } else single.ask(asked(step, 1, 1));
}

async function fetchRow(start: number): Promise<void> {
  if (isFetching || start > MAX_STEP) return;
  isFetching = true;
  const question = asked(start, rowCount, stride);
  try {
    const { meta, frames: found } = await askFrames(question);
    keep(found, meta, question.key);
    if (found.length) {
      secondsAFrame = meta.seconds / found.length;
      rowCount = Math.max(4, Math.min(at.speed === 'max' ? 12 : 40, Math.floor(ROW_SECONDS / secondsAFrame), rowCount * 2));
      if (at.speed === 'max') {
        // as fast as possible: as many steps between two frames as the lab makes while one frame is shown
        if (secondsAFrame < 0.005 && stride < 4096) stride *= secondsAFrame < 0.002 ? 4 : 2;
        else if (secondsAFrame > 0.011 && stride > 1) stride = Math.max(1, Math.floor(stride / 2));
      }
    }
  } catch (cause) {
    failed(cause);
  } finally {
    isFetching = false;
  }
}

function nextStep(step: number, wanted: number): number | undefined {
  if (at.speed !== 'max') {
    // the frame furthest on that is due and at hand
    for (let target = step + wanted; target > step; target -= 1) if (frames.has(target)) return target;
    return undefined;
  }
  // the furthest within a stride, or the next there is
  let within: number | undefined;
  let beyond: number | undefined;
  for (const there of frames.keys()) {
    if (there > step && there <= step + wanted) within = Math.max(there, within ?? there);
    else if (there > step) beyond = Math.min(there, beyond ?? there);
  }
  return within ?? beyond;
}

function prefetch(): void {
  let end = playedStep;
  let n = 0;
  if (at.speed === 'max') {
    for (const there of frames.keys()) {
      if (there <= playedStep) continue;
      n += 1;
      end = Math.max(end, there);
    }
  } else {
    while (n < AHEAD && frames.has(end + 1)) {
      end += 1;
      n += 1;
    }
  }
  const isEnough = n >= (at.speed === 'max' ? AHEAD / 2 : AHEAD);
  if (!isEnough && !(stop && end + stride > stop.step)) void fetchRow(end + stride);
}

function tick(time: number): void {
  if (!isPlaying) return;
  handle = requestAnimationFrame(tick);
  const seconds = Math.min(0.1, (time - lastTime) / 1000);
  lastTime = time;
  if (at.speed !== playedSpeed) {
    playedSpeed = at.speed;
    // frames from elsewhere, far ahead, would be leapt to
    if (at.speed === 'max') for (const there of [...frames.keys()]) if (there > playedStep) frames.delete(there);
  }
  if (at.speed === 'max') credit = stride;
  else {
    stride = 1;
    credit = Math.min(credit + seconds * STEPS_A_SECOND * Number(at.speed), 20);
  }
  prefetch();
  if (credit < 1) return;
  const next = nextStep(playedStep, Math.floor(credit));
  if (next !== undefined) {
    credit = at.speed === 'max' ? 0 : Math.max(0, credit - (next - playedStep));
    playedStep = next;
    if (time - addressTime > ADDRESS_MS) {
      addressTime = time;
      at.step = writtenStep = next;
    }
  } else if (playedStep >= MAX_STEP || (stop && playedStep + 1 > stop.step)) pause();
  else if (stop && playedStep + stride > stop.step && !isFetching) stride = 1;
}

function play(): void {
  if (isPlaying) return;
  at.phase = '';
  if (at.speed !== 'max') stride = 1;
  playedStep = writtenStep = at.step;
  playedSpeed = '';
  isPlaying = true;
  credit = 1;
  lastTime = performance.now();
  handle = requestAnimationFrame(tick);
}

function pause(): void {
  if (isPlaying) at.step = playedStep;
  isPlaying = false;
  cancelAnimationFrame(handle);
}

export const player = {
  /** The step shown. */
  get step() {
    return stepNow();
  },
  get frame() {
    return frame;
  },
  get stop() {
    return stop;
  },
  /** The last step computed so far. */
  get lastStep() {
    return lastStep;
  },
  /** The step computed up to, while the lab is on a long way. */
  get onTheWay() {
    return onTheWay;
  },
  get error() {
    return error;
  },
  get isPlaying() {
    return isPlaying;
  },
  get stride() {
    return stride;
  },
  show,
  /** Stop without a word to the address, which is another screen's by now. */
  leave(): void {
    isPlaying = false;
    cancelAnimationFrame(handle);
    single.stop();
  },
  play,
  pause,
  toggle: () => (isPlaying ? pause() : play()),
  /** Go to a step, as a click on the scrubber does. */
  go(step: number): void {
    pause();
    at.phase = '';
    at.step = Math.max(0, Math.min(MAX_STEP, Math.round(step)));
  },
};

