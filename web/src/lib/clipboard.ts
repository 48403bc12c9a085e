// Copy a text; pages that are not on a secure address get the old way.

import { say } from './Toasts.svelte';

export async function copy(text: string, what = 'Copied'): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = document.createElement('textarea');
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand('copy');
    box.remove();
    if (!done) {
      say(`The browser does not let the page copy; select it by hand: ${text}`);
      return;
    }
  }
  say(`${what}: ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`);
}
