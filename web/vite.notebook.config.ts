import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// The figures of notebooks: one module and one sheet of styles, which Python hands to the notebook as text
// (src/cutaway/notebook/widget.py). A notebook's page is not ours: the figures look there for dark or light, keep what one
// chooses in them to themselves, and their styles stay inside them.

const OURS = ':where(.cutaway-figure)'; // weighs nothing, as in the lab: what a component says itself goes before it

/** Take over the lab's theme for what is inside a figure. */
function within(css: string): string {
  return css
    .replace(/@font-face\s*\{[^}]*\}/g, '')
    .replace(/^:root\[/gm, '&[')
    .replace(/^(:root|html|body)(?=[ ,{])/gm, '&')
    .replace('min-height: 100dvh;', '');
}

function forNotebooks(): Plugin {
  return {
    name: 'cutaway-for-notebooks',
    enforce: 'pre',
    resolveId(source, importer) {
      const name = /\/state\/(theme|location)\.svelte$/.exec(source)?.[1];
      return name ? this.resolve(`/src/notebook/${name}.svelte`, importer) : null;
    },
    transform(code, id) {
      return id.endsWith('/lib/theme.css') ? { code: `${OURS} {\n${within(code)}\n}`, map: null } : null;
    },
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== 'asset' || !file.fileName.endsWith('.css')) continue;
        file.source = String(file.source)
          .replace(/(\d*\.?\d+)rem\b/g, (_all, n: string) => `${Number(n) * 16}px`) // a page may have another size of letters
          .replace(/@media ?(?=\((?:max-width|width))/g, '@container '); // and a figure is narrower than the page
      }
    },
  };
}

export default defineConfig({
  plugins: [forNotebooks(), svelte()],
  publicDir: false,
  build: {
    outDir: '../src/cutaway/notebook/figure_files',
    emptyOutDir: true,
    target: 'es2022',
    cssCodeSplit: false,
    lib: { entry: 'src/notebook/main.ts', formats: ['es'], fileName: () => 'figure.js', cssFileName: 'figure' },
    minify: true,
    rolldownOptions: { output: { codeSplitting: false } },
  },
});
