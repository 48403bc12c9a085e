// What one asked for comes first: the picture of a tensor waits a moment for the explanation of the number in it, because the
// lab would answer both at the same time, and both later.

const LONGEST_MS = 150;
let explaining: Promise<unknown> = Promise.resolve();

/** Note that an explanation is being asked for. */
export function explains(answer: Promise<unknown>): void {
  explaining = answer.catch(() => undefined);
}

/** Wait until the explanation that is asked for now is there, if one is, but not for long. */
export async function explained(): Promise<void> {
  await new Promise((done) => setTimeout(done, 0)); // the panel that asks may be told of the click after the picture
  await Promise.race([explaining, new Promise((done) => setTimeout(done, LONGEST_MS))]);
}
