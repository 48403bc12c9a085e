// Where one is in the lab: the path names the screen, the query holds that screen's state. Every situation is a link,
// and the browser's Back goes to the situation before.
//
//   const at = linked({ step: whole(0), tab: choice(['loss', 'weights'], 'loss') });
//   at.step = 7                      the address follows, without a new entry in the history (a drag, a scrub)
//   push(() => (at.tab = 'weights')) with a new entry, so that Back returns (a click that leads somewhere)
//   visit('/runs/stdlib-1')          another screen

const REPLACE_AT_MOST_EVERY_MS = 150; // browsers refuse more than some hundred history writes in half a minute

let path = $state(window.location.pathname);
let query = $state.raw(new URLSearchParams(window.location.search));
let timer: ReturnType<typeof setTimeout> | undefined;
let isPushing = false;

function address(): string {
  const text = query.toString();
  return path + (text ? `?${text}` : '');
}

function write(): void {
  if (timer !== undefined) return;
  timer = setTimeout(flush, REPLACE_AT_MOST_EVERY_MS);
}

/** Write what is pending into the address bar now. */
export function flush(): void {
  if (timer === undefined) return;
  clearTimeout(timer);
  timer = undefined;
  window.history.replaceState(null, '', address());
}

window.addEventListener('popstate', () => {
  clearTimeout(timer);
  timer = undefined;
  path = window.location.pathname;
  query = new URLSearchParams(window.location.search);
});
window.addEventListener('pagehide', flush);

/** The path, for the frame: which screen is shown. */
export const location = {
  get path(): string {
    return path;
  },
  /** The whole address, to copy. */
  get href(): string {
    return window.location.origin + address();
  },
};

/** Go to another address of the lab, as a click on a link does. */
export function visit(href: string): void {
  flush();
  const url = new URL(href, window.location.origin);
  window.history.pushState(null, '', url.pathname + url.search);
  path = url.pathname;
  query = url.searchParams;
  window.scrollTo(0, 0);
}

/** Let the changes made in `change` be one new entry of the history. */
export function push(change: () => void): void {
  flush();
  const before = address();
  isPushing = true;
  try {
    change();
  } finally {
    isPushing = false;
  }
  if (address() !== before) window.history.pushState(null, '', address());
}

/** How a value stands in the address: read returns undefined for what makes no sense, which then is the default. */
export interface Field<T> {
  readonly initial: T;
  read(text: string): T | undefined;
  write(value: T): string;
}

export function text(initial = ''): Field<string> {
  return { initial, read: (given) => given, write: (value) => value };
}

export function choice<const T extends string>(choices: readonly T[], initial: NoInfer<T>): Field<T> {
  return { initial, read: (given) => choices.find((one) => one === given), write: (value) => value };
}

export function real(initial: number, low = -Infinity, high = Infinity): Field<number> {
  return {
    initial,
    read: (given) => {
      const value = given.trim() === '' ? NaN : Number(given);
      return value >= low && value <= high ? value : undefined;
    },
    write: String,
  };
}

export function whole(initial: number, low = 0, high = Number.MAX_SAFE_INTEGER): Field<number> {
  const field = real(initial, low, high);
  return { ...field, read: (given) => (Number.isSafeInteger(Number(given)) ? field.read(given) : undefined) };
}

export function flag(initial = false): Field<boolean> {
  return { initial, read: (given) => (given === '1' ? true : given === '0' ? false : undefined), write: (v) => (v ? '1' : '0') };
}

/** A list, its members separated by a character none of them contains. */
export function list<T>(member: Field<T>, initial: readonly T[] = [], separator = ','): Field<readonly T[]> {
  return {
    initial,
    read: (given) => {
      const found = given === '' ? [] : given.split(separator).map((one) => member.read(one));
      return found.every((one) => one !== undefined) ? (found as T[]) : undefined;
    },
    write: (values) => values.map((value) => member.write(value)).join(separator),
  };
}

/** A value that stands in the address as JSON, checked by `check`. */
export function json<T>(initial: T, check: (value: unknown) => value is T): Field<T> {
  return {
    initial,
    read: (given) => {
      try {
        const value: unknown = JSON.parse(given);
        return check(value) ? value : undefined;
      } catch {
        return undefined;
      }
    },
    write: (value) => JSON.stringify(value),
  };
}

export type Fields = Record<string, Field<never>>;
export type StateOf<F> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** Return an object whose members live in the address; those that have their initial value are left out of it. */
// eslint-disable-next-line -- a field reads and writes its own type, which only `StateOf` knows
export function linked<F extends Record<string, Field<any>>>(fields: F): StateOf<F> {
  const state = {} as StateOf<F>;
  for (const [name, field] of Object.entries(fields)) {
    let lastText: string | null | undefined;
    let lastValue: unknown;
    Object.defineProperty(state, name, {
      enumerable: true,
      get: () => {
        const given = query.get(name);
        if (given !== lastText) {
          // the same object while the text is the same, so that what depends on it is not computed again
          lastText = given;
          lastValue = given === null ? field.initial : (field.read(given) ?? field.initial);
        }
        return lastValue;
      },
      set: (value: unknown) => {
        const written = field.write(value);
        const next = new URLSearchParams(query);
        if (written === field.write(field.initial)) next.delete(name);
        else next.set(name, written);
        if (next.toString() === query.toString()) return;
        query = next;
        if (!isPushing) write();
      },
    });
  }
  return state;
}

/** Return the address of a screen in a situation: what a link points at. */
export function href(path: string, situation: Record<string, string | number | undefined> = {}): string {
  const given = Object.entries(situation).filter(([, value]) => value !== undefined && value !== '');
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length ? `${path}?${search}` : path;
}
