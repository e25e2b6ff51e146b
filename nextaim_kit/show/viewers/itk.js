// The program that itkwidgets shows, from the user's own Jupyter server. It has its own frame, since
// it takes keys and styles for the whole page.
function page() {
  const config = document.getElementById("jupyter-config-data");
  const base = config ? JSON.parse(config.textContent).baseUrl : "/";
  const script = `${base}lab/extensions/itk-vtk-viewer/itkVtkViewer.js`;
  return `<!doctype html><html><body style="margin:0;background:black">
    <div id="viewer" style="position:relative;width:100%;height:100vh"></div>
    <script src="${script}"></script></body></html>`;
}

function itkImage(model, data, componentType, name) {
  return {
    imageType: { dimension: 3, componentType, pixelType: "Scalar", components: 1 },
    name,
    size: model.get("size"),
    spacing: model.get("spacing"),
    origin: model.get("origin"),
    direction: new Float64Array([1, 0, 0, 0, 1, 0, 0, 0, 1]),
    metadata: new Map(),
    data,
  };
}

// What arrives may be a part of a larger buffer.
function bytes(model, name) {
  const view = model.get(name);
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

// Each mask is a bit of a label; bits of hidden masks are left out.
function labels(model) {
  const bits = new Uint8Array(bytes(model, "bits"));
  const shown = model.get("shown");
  return itkImage(model, bits.map((bit) => bit & shown), "uint8", "masks");
}

function paint(viewer, colors) {
  const representation = viewer.getStore().itkVtkView.getRepresentations()[0];
  if (!representation) return; // nothing is drawn yet; comes again when it is
  const props = [...representation.getVolumes(), ...representation.getActors()];
  for (const prop of props) {
    const table = prop.getProperty().getRGBTransferFunction(1);
    table.removeAllPoints();
    colors.forEach(([r, g, b], label) => table.addRGBPoint(label, r, g, b));
  }
  viewer.render();
}

async function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = "Volume in three dimensions";
  frame.style.cssText = "width:100%;height:480px;border:0";
  frame.srcdoc = page();
  const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
  el.append(frame);
  await loaded;
  const program = frame.contentWindow.itkVtkViewer;
  if (!program) {
    el.textContent = "The viewer's program did not load from this Jupyter server; choose another viewer above.";
    return;
  }
  const masked = model.get("colors").length > 0;
  const kind = model.get("kind");
  const data = new { int16: Int16Array, float32: Float32Array }[kind](bytes(model, "pixels"));
  const viewer = await program.createViewer(frame.contentDocument.getElementById("viewer"), {
    image: itkImage(model, data, kind, "volume"),
    labelImage: masked ? labels(model) : undefined,
    rotate: false,
    config: { uiMachineOptions: "reference", units: "mm", maxConcurrency: 2 },
  });
  const range = () => viewer.setImageColorRange(model.get("range"), 0, "volume");
  const dress = () => {
    range();
    if (masked) paint(viewer, model.get("colors"));
  };
  viewer.once("renderedImageAssigned", () => {
    viewer.setImageColorMap("Grayscale", 0, "volume");
    if (masked) viewer.setLabelImageBlend(0.7, "volume");
    viewer.setViewMode("ZPlane"); // not before: the first image turns the camera
    const [x, y, z] = model.get("at");
    viewer.setXSlice(x);
    viewer.setYSlice(y);
    viewer.setZSlice(z);
  });
  viewer.on("renderedImageAssigned", dress);
  viewer.setUICollapsed(true);
  model.on("change:range", range);
  model.on("change:shown", () => viewer.setLabelImage(labels(model), "volume"));
  frame.contentWindow.viewer = viewer; // for the browser's console
}

export default { render };
