"""The ways to look at a volume: itk-vtk-viewer, niivue, slices, and a figure."""
