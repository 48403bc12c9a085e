// When charts are drawn: the one under the hand in the next frame, those that follow it as time allows, one after the other,
// so that a hand never waits for what it does not look at.

const FRAME_MS = 8; // half of a frame at 60 a second: the other half is the browser's
type Draw = () => void;
const first = new Set<Draw>();
const waiting = new Set<Draw>();
let asked = 0;

/** Draw in the next frame, or soon after it. Asked again before that, it is drawn once. */
export function drawSoon(draw: Draw, isUnderTheHand: boolean): void {
  (isUnderTheHand ? first : waiting).add(draw);
  asked ||= requestAnimationFrame(run);
}

/** Draw it no more. */
export function forget(draw: Draw): void {
  first.delete(draw);
  waiting.delete(draw);
}

function run(): void {
  asked = 0;
  const started = performance.now();
  for (const draw of first) {
    forget(draw);
    draw();
  }
  for (const draw of waiting) { // at least one a frame, so that none waits for ever
    forget(draw);
    draw();
    if (performance.now() - started > FRAME_MS) break;
  }
  if (waiting.size) asked = requestAnimationFrame(run);
}
