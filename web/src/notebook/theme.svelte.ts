// Dark or light, in a notebook: what the page around a figure is. Takes the place of state/theme.svelte.ts.

let isDark = $state(false);
const figures = new Set<HTMLElement>();
const system = window.matchMedia('(prefers-color-scheme: dark)');

export const theme = {
  get isDark(): boolean {
    return isDark;
  },
};

/** Let a figure follow the page's theme; returns how to stop. */
export function follow(figure: HTMLElement): () => void {
  figures.add(figure);
  if (figures.size === 1) watch(true);
  look();
  return () => {
    figures.delete(figure);
    if (!figures.size) watch(false);
  };
}

function look(): void {
  const [first] = figures;
  if (!first) return;
  const found = pageIsDark(first);
  for (const figure of figures) figure.dataset['theme'] = found ? 'dark' : 'light';
  isDark = found;
}

/** A theme may come as a sheet of styles that is still loading, or fade in. */
let waits: number[] = [];
function lookSoon(): void {
  look();
  for (const wait of waits) clearTimeout(wait);
  waits = [50, 300, 1000].map((ms) => window.setTimeout(look, ms));
}
const changes = new MutationObserver(lookSoon);
function watch(isOn: boolean): void {
  changes.disconnect();
  system.removeEventListener('change', lookSoon);
  if (!isOn) return;
  changes.observe(document.documentElement, { attributes: true });
  changes.observe(document.body, { attributes: true });
  changes.observe(document.head, { childList: true });
  system.addEventListener('change', lookSoon);
  lookSoon();
}

function pageIsDark(figure: HTMLElement): boolean {
  const said = document.body.dataset['vscodeThemeKind']; // there the page behind the figure has no colour of its own
  if (said) return said === 'vscode-dark' || said === 'vscode-high-contrast';
  let node: Node | null = figure.parentNode;
  while (node) {
    if (node instanceof ShadowRoot) node = node.host;
    if (node instanceof Element) {
      const light = lightness(getComputedStyle(node).backgroundColor);
      if (light !== undefined) return light < 0.5;
    }
    node = node.parentNode;
  }
  return /dark/.test(getComputedStyle(document.documentElement).colorScheme) && system.matches;
}

let pixel: CanvasRenderingContext2D | null | undefined;
/** Return how light a colour is, 0 to 1; undefined for one that is seen through. */
function lightness(color: string): number | undefined {
  pixel ??= Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  if (!pixel) return undefined;
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = color;
  pixel.fillRect(0, 0, 1, 1);
  const [red = 0, green = 0, blue = 0, alpha = 0] = pixel.getImageData(0, 0, 1, 1).data;
  return alpha < 128 ? undefined : (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
}
