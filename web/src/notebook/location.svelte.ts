// Takes the place of state/location.svelte.ts in a notebook: a situation lives with the figure, not in the page's address.

interface Field<T> {
  readonly initial: T;
}
const field = <T>(initial: T): Field<T> => ({ initial });

export const text = (initial = ''): Field<string> => field(initial);
export const choice = <const T extends string>(_: readonly T[], initial: NoInfer<T>): Field<T> => field<T>(initial);
export const real = (initial: number): Field<number> => field(initial);
export const whole = (initial: number): Field<number> => field(initial);
export const flag = (initial = false): Field<boolean> => field(initial);
export const list = <T>(_: Field<T>, initial: readonly T[] = []): Field<readonly T[]> => field(initial);
export const json = <T>(initial: T): Field<T> => field(initial);
export const href = (): string => '';
export const push = (change: () => void): void => change();

export function linked(fields: Record<string, Field<unknown>>): Record<string, unknown> {
  const state = $state(Object.fromEntries(Object.entries(fields).map(([name, { initial }]) => [name, initial])));
  return state;
}
