// A real, headless Chromium with the built page open.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from '../scripts/serve.mjs';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const dist = join(root, 'web', 'dist');

/** Debian's names, and where other systems put theirs. */
const BROWSERS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];
const QUIET = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
/** WebGPU on SwiftShader, which imitates a graphics card. */
const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan', '--use-angle=swiftshader'];
const WITHOUT_WEBGPU = ['--disable-features=WebGPU', '--disable-gpu'];

/** Compiling shaders and denoising on an imitated graphics card takes its time. */
export const PATIENCE = 300_000;

/**
 * Opens the page. Gives it, its server and a way to close everything; errors of the page that no
 * one caught are collected.
 */
export async function open({ webgpu = true, hash = '', alter, ...context } = {}) {
  const server = await serve(dist, 0, alter);
  const executablePath = BROWSERS.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('no Chromium was found; install it, or name it in CHROMIUM');
  const browser = await chromium.launch({
    executablePath,
    ignoreDefaultArgs: ['--disable-gpu', '--enable-unsafe-swiftshader'],
    args: ['--headless=new', ...QUIET, ...(webgpu ? WEBGPU : WITHOUT_WEBGPU)],
  });
  const opened = await browser.newContext({ acceptDownloads: true, ...context });
  const page = await opened.newPage();
  page.setDefaultTimeout(PATIENCE);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()); });
  const address = `http://127.0.0.1:${server.address().port}/`;
  await page.goto(address + hash);
  const close = async () => {
    await browser.close();
    server.close();
  };
  return { page, address, errors, close };
}

/** Waits until a video can be asked for; gives what computes. */
export async function ready(page) {
  await page.locator('html[data-ready]').waitFor({ state: 'attached' });
  return page.locator('html').getAttribute('data-ready');
}

/** Sets fields of the form by name. */
export async function fill(page, fields) {
  await page.locator('details').first().evaluate((details) => { details.open = true; });
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`[name=${name}]`);
    const kind = await field.evaluate((element) => element.type);
    if (kind === 'checkbox') await field.setChecked(value);
    else if (kind === 'select-one') await field.selectOption(value);
    else await field.fill(String(value));
  }
}

/** Makes a video and waits for it. */
export async function make(page) {
  await page.click('#go');
  await page.locator('#downloads').or(page.locator('#message button, #message p')).first().waitFor();
  const message = await page.locator('#message').innerText();
  if (message) throw new Error(message);
}

/** The native musev of `cargo test`: `cargo run` chooses features without the tests, and compiles it again. */
function musev() {
  execFileSync('cargo', ['test', '--quiet', '--workspace', '--test', 'cli', '--no-run'], {
    cwd: root, stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'musev');
}

/** Runs the native musev in a folder of its own; gives the path of the file it wrote. */
export function native(...args) {
  const folder = mkdtempSync(join(tmpdir(), 'musev-web-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const output = join(folder, 'native.mp4');
  execFileSync(musev(), ['text2video', ...args, '--device', 'cpu', '-o', output], {
    cwd: root, stdio: ['ignore', 'ignore', 'inherit'],
  });
  return output;
}

/** The pictures of MP4 files, decoded by the browser, and how near they are to each other in dB. */
export async function compare(page, files) {
  const encoded = files.map((bytes) => bytes.toString('base64'));
  return page.evaluate(async (encoded) => {
    /** The pixels of every picture. */
    const decode = async (base64) => {
      const blob = await (await fetch(`data:video/mp4;base64,${base64}`)).blob();
      const video = document.createElement('video');
      video.muted = true;
      video.src = URL.createObjectURL(blob);
      await new Promise((loaded, failed) => { video.onloadeddata = loaded; video.onerror = () => failed(video.error); });
      const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      const context = canvas.getContext('2d', { willReadFrequently: true });
      const frames = [];
      const count = Math.round(video.duration * 12);
      for (let index = 0; index < count; index++) {
        // A busy machine has found the place before it shows the picture there.
        const shown = new Promise((shown) => video.requestVideoFrameCallback(shown));
        video.currentTime = (index + 0.5) / 12;
        await new Promise((sought) => { video.onseeked = sought; });
        await Promise.race([shown, new Promise((late) => setTimeout(late, 1000))]);
        context.drawImage(video, 0, 0);
        frames.push(context.getImageData(0, 0, canvas.width, canvas.height).data);
      }
      return frames;
    };
    const [a, b] = [await decode(encoded[0]), await decode(encoded[1])];
    let [squares, count] = [0, 0];
    a.forEach((frame, index) => frame.forEach((value, at) => {
      squares += (value - b[index][at]) ** 2;
      count += 1;
    }));
    return { frames: [a.length, b.length], decibels: 10 * Math.log10((255 ** 2 * count) / squares) };
  }, encoded);
}

export const image = (name) => join(root, 'configs', 'tasks', 'images', name);
