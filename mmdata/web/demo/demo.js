/** The page: shows the data, trains a small model, and asks it. */

import { open } from "../mmdata.js";
import { makeCaptioner } from "./captioner.js";
import { countClasses, makeClassifier } from "./classifier.js";
import { drawCurve } from "./curve.js";
import { Gallery } from "./gallery.js";
import { makeMatcher } from "./matcher.js";
import { loadTfjs, tfjsFromFile } from "./tfjs.js";
import { Training } from "./training.js";
import { Trial } from "./trial.js";

/** @typedef {import("../mmdata.d.ts").Data} Data */

/** What the model learns, by task. */
const LEARNS = /** @type {Record<string, string>} */ ({
  captioning: "It learns to write a caption for a picture.",
  classification: "It learns to which class a picture belongs.",
  retrieval: "It learns which texts and pictures belong together.",
});

/** @type {any} The elements of the page, by id. */
const page = new Proxy({}, { get: (_, id) => document.getElementById(String(id)) });

/** @param {unknown} error */
function showError(error) {
  page.error.textContent = error instanceof Error ? error.message : String(error);
}

/** @param {() => Promise<void>} work */
async function guard(work) {
  page.error.textContent = "";
  await work().catch(showError);
}

async function main() {
  const data = await open(new URL(".", document.baseURI), { worker: true });
  page.starting.hidden = true;
  document.querySelector("main")?.removeAttribute("hidden");
  showSummary(data);
  await new Gallery(data, page, showError).show(0);
  const { name } = data.manifest.settings.task;
  page.task.textContent = whyNoTraining(data) ?? LEARNS[name];
  if (!whyNoTraining(data)) await startTraining(data, await tfjs());
}

/**
 * @param {Data} data
 * @returns {string | undefined}
 */
function whyNoTraining({ manifest, splits, tokenizer }) {
  const { name } = manifest.settings.task;
  if (!(name in LEARNS)) {
    return `This page trains models for ${Object.keys(LEARNS).join(", ")}; these data are for ${name}.`;
  }
  if (!splits.includes("train")) return `Training needs a split "train"; got ${splits.join(", ")}.`;
  if (name !== "classification" && !tokenizer) {
    return "Training needs the tokenizer, and that of these data has no version in JavaScript.";
  }
}

/** @param {Data} data */
function showSummary({ manifest, imageSize, channels }) {
  const { task, text } = manifest.settings;
  const tokens = text?.length ? `, up to ${text.length} tokens` : "";
  page.tokens.hidden = !text?.length;
  page.summary.textContent =
    `${manifest.rows.toLocaleString("en")} images of ${imageSize.join(" x ")} pixels, ` +
    `${channels === 3 ? "RGB" : `${channels} channel`}${tokens}, for ${task.name.replaceAll("_", " ")}`;
}

/** @returns {Promise<any>} TensorFlow.js, from the server, or else from a file that the visitor has. */
function tfjs() {
  return loadTfjs().catch((error) => {
    page["no-tfjs"].hidden = false;
    page["no-tfjs-text"].textContent = error.message;
    return new Promise((resolve) => {
      page["tfjs-file"].onchange = () =>
        guard(async () => resolve(await tfjsFromFile(page["tfjs-file"].files[0])));
    });
  });
}

/**
 * @param {Data} data
 * @param {any} tf
 */
async function startTraining(data, tf) {
  const classes =
    data.manifest.settings.task.name === "classification" ? await countClasses(data) : 0;
  const make = {
    captioning: () => makeCaptioner(tf, data),
    classification: () => makeClassifier(tf, data, classes),
    retrieval: () => makeMatcher(tf, data),
  }[data.manifest.settings.task.name];
  const training = new Training(tf, data, /** @type {any} */ (make));
  await guard(async () => {
    const isKept = await training.restore();
    page["training-status"].textContent = isKept ? `Continues at step ${training.step}.` : "";
  });
  page["no-tfjs"].hidden = true;
  page.trainer.hidden = false;
  new ResizeObserver(() => drawCurve(page.curve, training.losses)).observe(page.curve);
  showProgress(training);
  /** @type {Promise<void> | null} */
  let run = null;
  page.train.onclick = () => {
    if (training.isRunning) return training.pause();
    run ??= guard(() => train(training, tf)).finally(() => (run = null));
  };
  page.restart.onclick = () =>
    guard(async () => {
      training.pause();
      await run;
      await training.restart();
      page["training-status"].textContent = "The model is new.";
      showProgress(training);
    });
  await new Trial(tf, data, training, page, guard).start();
  page.trial.hidden = false;
}

/**
 * @param {Training} training
 * @param {any} tf
 */
async function train(training, tf) {
  page.train.textContent = "Pause";
  page["training-status"].textContent = `Trains with the backend "${tf.getBackend()}".`;
  try {
    await training.run(() => showProgress(training));
    page["training-status"].textContent = `Paused after step ${training.step}.`;
  } finally {
    page.train.textContent = "Continue";
  }
}

/** @param {Training} training */
function showProgress({ step, stepsPerEpoch, losses, imagesPerSecond }) {
  const last = losses.slice(-20);
  const mean = last.reduce((sum, loss) => sum + loss, 0) / last.length;
  page.step.textContent = step.toLocaleString("en");
  page.epoch.textContent = (step / stepsPerEpoch).toFixed(2);
  page.loss.textContent = last.length ? mean.toFixed(3) : "–";
  page.speed.textContent = imagesPerSecond ? imagesPerSecond.toFixed(0) : "–";
  if (page.train.textContent !== "Pause") page.train.textContent = step ? "Continue" : "Train";
  drawCurve(page.curve, losses);
}

main().catch((error) => {
  page.starting.hidden = true;
  showError(error);
});
