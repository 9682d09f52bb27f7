"""Any timm network's residual blocks in MGIC form."""
