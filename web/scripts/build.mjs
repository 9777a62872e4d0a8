// Builds the folder `dist`, which any static host can serve: wasm, page, examples and the default
// model.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(web);
const dist = join(web, 'dist');
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');

/** What a model is made of; its card and pictures are none of it. */
const MODEL_FILE = /\.(json|safetensors|txt|yaml)$/;
const EXAMPLES = ['sticker.png', 'cat.jpg', 'astronaut.jpg', 'coffee.jpg'];

const run = (program, ...args) => execFileSync(program, args, { cwd: root, stdio: 'inherit' });

/** The version of wasm-bindgen that the wasm was made for: its tool has to be of the same. */
function bindgenVersion() {
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8');
  return lock.match(/name = "wasm-bindgen"\nversion = "([^"]+)"/)[1];
}

/** wasm-bindgen's tool, built once: soon rather than fast, for it runs for seconds. */
function bindgen() {
  const version = bindgenVersion();
  const tools = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'musev-tools', version);
  const tool = join(tools, 'bin', 'wasm-bindgen');
  if (!existsSync(tool)) {
    const soon = ['--config', 'profile.release.opt-level=1'];
    run('cargo', ...soon, 'install', 'wasm-bindgen-cli', '--version', version, '--root', tools);
  }
  return tool;
}

function wasm() {
  run('cargo', 'build', '-p', 'musev-web', '--target', 'wasm32-unknown-unknown', '--profile', 'web');
  const built = join(target, 'wasm32-unknown-unknown', 'web', 'musev_web.wasm');
  run(bindgen(), '--target', 'web', '--out-dir', dist, '--out-name', 'musev', '--remove-name-section', '--remove-producers-section', built);
}

function model() {
  const from = join(root, 'configs', 'models', 'mini');
  const paths = readdirSync(from, { recursive: true }).filter((path) => MODEL_FILE.test(path)).sort();
  const files = paths.map((name) => {
    const path = name.replaceAll('\\', '/');
    const bytes = readFileSync(join(from, path));
    mkdirSync(dirname(join(dist, 'model', path)), { recursive: true });
    writeFileSync(join(dist, 'model', path), bytes);
    return { path, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  cpSync(join(from, 'README.md'), join(dist, 'model', 'README.md'));
  writeFileSync(join(dist, 'model', 'manifest.json'), JSON.stringify({ name: 'mini', licence: 'MIT', files }, null, 1));
}

function page() {
  cpSync(join(web, 'page'), dist, { recursive: true, filter: (path) => !path.endsWith('.d.ts') });
  mkdirSync(join(dist, 'vendor'), { recursive: true });
  cpSync(join(web, 'node_modules', 'idb-keyval', 'dist', 'index.js'), join(dist, 'vendor', 'idb-keyval.js'));
  mkdirSync(join(dist, 'examples'), { recursive: true });
  for (const name of EXAMPLES) cpSync(join(root, 'configs', 'tasks', 'images', name), join(dist, 'examples', name));
}

/** What a first visit transfers. */
function weigh() {
  let total = 0;
  for (const name of readdirSync(dist, { recursive: true })) {
    const file = join(dist, name);
    if (!statSync(file).isFile() || /\.(d\.ts|md)$/.test(name)) continue;
    const packed = /\.(wasm|js|css|html|json|txt|yaml|svg)$/.test(file);
    const size = packed ? gzipSync(readFileSync(file), { level: 9 }).length : statSync(file).size;
    total += size;
    if (file.endsWith('.wasm')) console.log(`wasm: ${(size / 1e6).toFixed(2)} MB compressed by gzip`);
  }
  console.log(`first visit: ${(total / 1e6).toFixed(2)} MB`);
}

if (!existsSync(join(web, 'node_modules'))) execFileSync('npm', ['ci'], { cwd: web, stdio: 'inherit' });
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
wasm();
model();
page();
weigh();
