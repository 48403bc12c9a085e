// Where one is in the Tokens tab.

import { choice, linked, whole } from '../../state/location.svelte';

export const UNDER = ['ids', 'bytes', 'nothing'] as const;

export const at = linked({
  /** What stands under each token. */
  under: choice(UNDER, 'ids'),
  /** The open token, and of which model; -1: none. */
  piece: whole(-1, -1),
  ofmodel: whole(0, 0, 3),
});
