// Dark or light: the system's choice unless the person made one.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'cutaway-theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

let chosen = $state<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? 'system');
let systemIsDark = $state(dark.matches);
dark.addEventListener('change', (event) => (systemIsDark = event.matches));

export const theme = {
  get chosen(): Theme {
    return chosen;
  },
  /** What is shown; drawings on canvas depend on it. */
  get isDark(): boolean {
    return chosen === 'system' ? systemIsDark : chosen === 'dark';
  },
  choose(theme: Theme): void {
    chosen = theme;
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // storage may be switched off: the choice then lasts as long as the page
    }
  },
};
