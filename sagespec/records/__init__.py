"""What the store keeps and where (`records`), model archives (`archive`), and the project's lock (`lock`,
`holder`).
"""
