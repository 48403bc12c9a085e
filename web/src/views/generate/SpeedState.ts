// Where one is in the Speed tab.

import { flag, linked, whole } from '../../state/location.svelte';

export const at = linked({
  /** Whether it has been asked for. */
  measured: flag(),
  /** How many new tokens. */
  fresh: whole(32, 2, 512),
});
