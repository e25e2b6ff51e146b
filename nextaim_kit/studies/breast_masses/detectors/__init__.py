"""Networks that mark masses: two generations of YOLO, RT-DETR, and how they are trained."""
