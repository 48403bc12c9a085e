// A figure in a notebook: what anywidget calls (`render`) in Jupyter, marimo, VS Code and Colab.

import './frame.css';
import '../lib/theme.css';
import { mount, unmount } from 'svelte';
import Frame from './Frame.svelte';
import { asking, type Model } from './model';
import { follow } from './theme.svelte';

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  // in a tree of its own, so that the notebook's styles and the figure's leave each other alone
  const host = document.createElement('div');
  host.dataset['lmSuppressShortcuts'] = 'true'; // JupyterLab's keys (a new cell, run, delete) are not meant here
  const root = host.attachShadow({ mode: 'open' });
  const style = document.createElement('style');
  style.textContent = String(model.get('css') ?? '');
  const target = document.createElement('div');
  target.className = 'cutaway-figure';
  target.addEventListener('keydown', (event) => event.stopPropagation());
  root.append(style, target);
  el.append(host);
  const unfollow = follow(target);
  const { ask, stop } = asking(model);
  const frame = mount(Frame, { target, props: { model, ask } });
  return () => {
    stop();
    unfollow();
    void unmount(frame);
    host.remove();
  };
}

export default { render };
