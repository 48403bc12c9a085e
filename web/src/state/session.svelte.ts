// Whether the lab wants its password first (api/client.ts hears of it).

let isLocked = $state(false);
window.addEventListener('cutaway-locked', () => (isLocked = true));

export const session = {
  get isLocked(): boolean {
    return isLocked;
  },
};
